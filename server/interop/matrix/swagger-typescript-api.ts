import { Refused, endpoint, run } from './run';
import { Api as Callbacks, type CallbackError, type HttpResponse } from './generated/swagger-typescript-api/callback';
import { Api as Waits } from './generated/swagger-typescript-api/waits';

const callbacks = new Callbacks({ baseUrl: endpoint });
const waits = new Waits({ baseUrl: endpoint });

run({
  async open({ project, workflow, run, state }) {
    const { data } = await waits.v1.openWait(project, { workflow_id: workflow, run_id: run, state_id: state });
    return data.execution_id;
  },
  async callBack({ project, workflow, run, state }, outcome) {
    try {
      const { data } = await callbacks.v2.createCallbackWorkflow(project, workflow, outcome, {
        headers: { 'X-Workflow-Run-Id': run, 'X-Workflow-State-Id': state },
      });
      return data.execution_id;
    } catch (e) {
      throw new Refused((e as HttpResponse<unknown, CallbackError>).error);
    }
  },
});
