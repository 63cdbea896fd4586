import { Refused, endpoint, run } from './run';
import { createCallbackWorkflow } from './generated/orval/callback';
import { openWait } from './generated/orval/waits';

run({
  async open({ project, workflow, run, state }) {
    const { data, status } = await openWait(project, { workflow_id: workflow, run_id: run, state_id: state });
    if (status !== 200 && status !== 201) throw new Refused(data);
    return data.execution_id;
  },
  async callBack({ project, workflow, run, state }, outcome) {
    const { data, status } = await createCallbackWorkflow(project, workflow, outcome, {
      'X-Workflow-Run-Id': run, 'X-Workflow-State-Id': state,
    });
    if (status !== 200) throw new Refused(data);
    return data.execution_id;
  },
});
