// Calls the server's public API. It keeps response bodies also as text, because JavaScript
// numbers lose digits.

let token = sessionStorage.getItem('token') ?? '';

export function signIn(given) {
  token = given;
  sessionStorage.setItem('token', given);
}

// signOut forgets the token.
export function signOut() {
  token = '';
  sessionStorage.removeItem('token');
}

// Refusal is an error response from the server.
export class Refusal extends Error {
  constructor(status, body) {
    super(`${body.error_code ?? 'HTTP ' + status}: ${body.error_msg ?? 'no reason given'}`);
    this.status = status;
    this.code = body.error_code;
  }
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers['X-Auth-Token'] = token;
  const answer = await fetch(path, { ...options, headers, cache: 'no-store', redirect: 'error' });
  const text = await answer.text();
  let body = {};
  try { body = JSON.parse(text || '{}'); } catch { /* not JSON, so not from flowcallbackd; the status is enough */ }
  if (!answer.ok) throw new Refusal(answer.status, body);
  return { body, text };
}

const id = encodeURIComponent;

export async function list({ project, workflow, status, order, cursor, signal }) {
  const query = new URLSearchParams({ order, limit: '50' });
  if (workflow) query.set('workflow_id', workflow);
  if (status) query.set('status', status);
  if (cursor) query.set('cursor', cursor);
  return (await call(`/v1/${id(project)}/waits?${query}`, { signal })).body;
}

// get returns a wait, with its input and output as the original JSON text.
export async function get(project, waitID) {
  const { body, text } = await call(`/v1/${id(project)}/waits/${id(waitID)}`);
  return { wait: body, input: member(text, ['input']), output: member(text, ['outcome', 'output']) };
}

export const callbackPath = (wait) => `/v2/${id(wait.project_id)}/fgs/workflows/${id(wait.workflow_id)}/callback`;

export async function callBack(wait, body) {
  return (await call(callbackPath(wait), {
    method: 'POST', body,
    headers: { 'Content-Type': 'application/json', 'X-Workflow-Run-Id': wait.run_id, 'X-Workflow-State-Id': wait.state_id },
  })).body;
}

// reasonLimit returns the maximum length of a fail's reason, in characters, from the contract.
export async function reasonLimit() {
  const { body } = await call('/openapi/callback.json');
  return body.components.schemas.Reason.maxLength;
}

// member returns the JSON text of the member at a path of names, or undefined.
function member(text, path) {
  let from = 0;
  for (const name of path) {
    from = find(text, from, name);
    if (from < 0) return undefined;
  }
  return text.slice(from, end(text, from));
}

// find returns the start of a member's value in the object that starts at from, or -1.
function find(text, from, name) {
  let at = text.indexOf('{', from) + 1;
  while (text[at] === '"') {
    const nameEnd = end(text, at);
    const value = nameEnd + 1;
    if (JSON.parse(text.slice(at, nameEnd)) === name) return value;
    at = end(text, value) + 1;
  }
  return -1;
}

// end returns the end of the value that starts at from. It relies on the server to write no
// white space.
function end(text, from) {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const c = text[at];
    if (c === '"') {
      for (at++; text[at] !== '"'; at++) if (text[at] === '\\') at++;
      if (depth === 0) return at + 1;
    } else if (c === '{' || c === '[') depth++;
    else if (c === '}' || c === ']') {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (c === ',' || c === ':')) return at;
  }
  return text.length;
}
