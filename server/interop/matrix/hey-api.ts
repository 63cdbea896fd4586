import { Refused, endpoint, run } from './run';
import { createCallbackWorkflow } from './generated/hey-api/callback';
import { client as callbacks } from './generated/hey-api/callback/client.gen';
import { openWait } from './generated/hey-api/waits';
import { client as waits } from './generated/hey-api/waits/client.gen';

callbacks.setConfig({ baseUrl: endpoint });
waits.setConfig({ baseUrl: endpoint });

run({
  async open({ project, workflow, run, state }) {
    const { data, error } = await openWait({
      path: { project_id: project }, body: { workflow_id: workflow, run_id: run, state_id: state },
    });
    if (!data) throw new Refused(error);
    return data.execution_id;
  },
  async callBack({ project, workflow, run, state }, outcome) {
    const { data, error } = await createCallbackWorkflow({
      path: { project_id: project, workflow_id: workflow },
      headers: { 'X-Workflow-Run-Id': run, 'X-Workflow-State-Id': state },
      body: outcome,
    });
    if (!data) throw new Refused(error);
    return data.execution_id;
  },
});
