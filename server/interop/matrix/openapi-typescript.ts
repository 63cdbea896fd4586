import createClient from 'openapi-fetch';
import { Refused, endpoint, run } from './run';
import type { paths as Callbacks } from './generated/openapi-typescript/callback';
import type { paths as Waits } from './generated/openapi-typescript/waits';

const callbacks = createClient<Callbacks>({ baseUrl: endpoint });
const waits = createClient<Waits>({ baseUrl: endpoint });

run({
  async open({ project, workflow, run, state }) {
    const { data, error } = await waits.POST('/v1/{project_id}/waits', {
      params: { path: { project_id: project } }, body: { workflow_id: workflow, run_id: run, state_id: state },
    });
    if (!data) throw new Refused(error);
    return data.execution_id;
  },
  async callBack({ project, workflow, run, state }, outcome) {
    const { data, error } = await callbacks.POST('/v2/{project_id}/fgs/workflows/{workflow_id}/callback', {
      params: {
        path: { project_id: project, workflow_id: workflow },
        header: { 'X-Workflow-Run-Id': run, 'X-Workflow-State-Id': state },
      },
      body: outcome,
    });
    if (!data) throw new Refused(error);
    return data.execution_id;
  },
});
