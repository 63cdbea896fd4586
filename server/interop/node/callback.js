// Sends one callback with the official, unmodified Node SDK. It reads the request as a JSON object
// from standard input and prints the result as a JSON object.
'use strict';

const { BasicCredentials } = require('@huaweicloud/huaweicloud-sdk-core');
const {
  CallbackWorkflowRequestBody, CreateCallbackWorkflowRequest, FunctionGraphClient,
} = require('@huaweicloud/huaweicloud-sdk-functiongraph/v2/public-api');

async function main() {
  const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  const credential = new BasicCredentials().withAk(input.ak).withSk(input.sk).withProjectId(input.project);
  const client = FunctionGraphClient.newBuilder().withCredential(credential).withEndpoint(input.endpoint).build();

  const body = new CallbackWorkflowRequestBody().withResult(input.result);
  if (input.error) body.withError(input.error);
  if (input.output) body.withOutput(input.output);
  const request = new CreateCallbackWorkflowRequest().withBody(body);
  request.workflowId = input.workflow;
  request.xWorkflowRunId = input.run;
  request.xWorkflowStateId = input.state;

  try {
    const answer = await client.createCallbackWorkflow(request);
    return { execution_id: answer.execution_id };
  } catch (e) {
    return {
      error: {
        type: e.constructor.name, status: e.httpStatusCode, code: e.errorCode, message: e.errorMsg, request_id: e.requestId,
      },
    };
  }
}

// The SDK's logger also writes to standard output. The result is the last line.
main().then((result) => process.stdout.write('\n' + JSON.stringify(result) + '\n'));
