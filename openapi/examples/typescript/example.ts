// Opens a wait, hands out a link, awaits the outcome, and follows the feed with a kept cursor.
// The types come from waits.yaml: a misspelled member or status does not compile.

import { readFile, rename, writeFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./waits.js";

type Wait = components["schemas"]["Wait"];

const project = process.env["FLOWCALLBACK_PROJECT_ID"] ?? "project";
const cursorFile = process.env["CURSOR_FILE"] ?? "outcomes.cursor";
const token = process.env["FLOWCALLBACK_TOKEN"];
const api = createClient<paths>({
  baseUrl: process.env["FLOWCALLBACK_ENDPOINT"] ?? "http://127.0.0.1:8080",
  headers: token ? { "X-Auth-Token": token } : {},
});

// got returns the data of a response, or throws what the server said.
function got<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) {
    throw new Error(`${answer.response.status} ${JSON.stringify(answer.error)}`);
  }
  return answer.data;
}

// open opens a wait. If the run has lost its memory it may open again: it gets the same wait.
async function open(run: string): Promise<Wait> {
  return got(await api.POST("/v1/{project_id}/waits", {
    params: { path: { project_id: project } },
    body: {
      workflow_id: "order-approval",
      run_id: run,
      state_id: "approve",
      title: "May order 4711 go out?",
      input: { order: 4711, amount: "129.90" },
      output_schema: {
        type: "object",
        required: ["carrier"],
        properties: { carrier: { type: "string", enum: ["post", "courier"] } },
      },
    },
  }));
}

// outcome blocks until the wait has left waiting. The server holds each request for 25 seconds.
async function outcome(waitId: string): Promise<Wait> {
  for (;;) {
    const wait = got(await api.GET("/v1/{project_id}/waits/{wait_id}", {
      params: { path: { project_id: project, wait_id: waitId }, query: { wait_seconds: 25 } },
    }));
    if (wait.status !== "waiting") return wait;
  }
}

// follow hands every outcome to handle at least once. The cursor is kept after that.
async function follow(handle: (wait: Wait) => Promise<boolean>): Promise<void> {
  let after: string | undefined = await readFile(cursorFile, "utf8").then((text) => text.trim(), () => undefined);
  for (let more = true; more; ) {
    const page = got(await api.GET("/v1/{project_id}/outcomes", {
      params: { path: { project_id: project }, query: { wait_seconds: 25, ...(after ? { after } : {}) } },
    }));
    for (const wait of page.outcomes) more = (await handle(wait)) && more;
    after = page.next;
    await writeFile(cursorFile + ".new", after);
    await rename(cursorFile + ".new", cursorFile);
  }
}

const wait = await open(process.argv[2] ?? "run-1");
const link = got(await api.POST("/v1/{project_id}/waits/{wait_id}/links", {
  params: { path: { project_id: project, wait_id: wait.wait_id } },
  body: { to: "Ines Moreau" },
}));
console.log("link:", link.url);

const settled = await outcome(wait.wait_id);
console.log("outcome:", settled.status, JSON.stringify(settled.outcome?.output), "by", settled.settled_by);

await follow(async (next) => {
  console.log("followed:", next.run_id, next.status);
  return next.wait_id !== wait.wait_id;
});
