import { isErrorFromAlias } from '@zodios/core';
import { Refused, endpoint, run } from './run';
import { api, createApiClient as callbacksOf } from './generated/openapi-zod-client/callback';
import { createApiClient as waitsOf } from './generated/openapi-zod-client/waits';

const callbacks = callbacksOf(endpoint);
const waits = waitsOf(endpoint);

run({
  async open({ project, workflow, run, state }) {
    const wait = await waits.openWait(
      { workflow_id: workflow, run_id: run, state_id: state }, { params: { project_id: project } },
    );
    return wait.execution_id;
  },
  async callBack({ project, workflow, run, state }, outcome) {
    try {
      const { execution_id } = await callbacks.createCallbackWorkflow(outcome, {
        params: { project_id: project, workflow_id: workflow },
        headers: { 'X-Workflow-Run-Id': run, 'X-Workflow-State-Id': state },
      });
      return execution_id;
    } catch (e) {
      throw isErrorFromAlias(api.api, 'createCallbackWorkflow', e) ? new Refused(e.response.data) : e;
    }
  },
});
