// Starts a run of the workflow. It prints the run id and then the result, each as a line of JSON.
const { Client, Connection } = require('@temporalio/client');
const { NativeConnection, Runtime, DefaultLogger, Worker } = require('@temporalio/worker');

async function main(address) {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const native = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    connection: native, taskQueue: 'typescript',
    workflowsPath: require.resolve('./workflows'), activities: require('./activities'),
  });
  const client = new Client({ connection: await Connection.connect({ address }) });
  await worker.runUntil(async () => {
    const run = await client.workflow.start('orderApproval', { args: ['4711'], taskQueue: 'typescript', workflowId: process.argv[3] });
    console.log(JSON.stringify({ runId: run.firstExecutionRunId }));
    try {
      console.log(JSON.stringify({ output: await run.result() }));
    } catch (err) {
      const failure = err.cause.cause; // the cause of the workflow failure, then of the activity failure
      console.log(JSON.stringify({ type: failure.type, message: failure.message, details: failure.details }));
    }
  });
  await native.close();
}

main(process.argv[2]).catch((err) => { console.error(err); process.exit(1); });
