// Makes one callback with the official Node SDK, as the JSON object on standard input says, and
// prints what came of it as one JSON object. It changes nothing of the SDK.
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

// The SDK's logger writes to standard output; the answer is the last line.
main().then((result) => process.stdout.write('\n' + JSON.stringify(result) + '\n'));
