// The same decision as a command for a shell.

import { callbackPath, root, stateHeaders } from './api.js';
import { token } from './store.js';

/** @typedef {import('./api.js').Wait} Wait */
/** @typedef {{result: 'success' | 'fail', output: string, reason: string, body: string}} Decision */

/**
 * Quotes a text for bash. Control characters are escaped, because a terminal acts on them when
 * the text is pasted.
 * @param {string} text
 */
function quote(text) {
  if (!/[\u0000-\u001f\u007f-\u009f]/.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`;
  const escaped = text.replace(/[\u0000-\u001f\u007f-\u009f'\\]/g, (c) =>
    c === "'" || c === '\\' ? `\\${c}` : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `$'${escaped}'`;
}

/** Credentials stay out of the clipboard: the shell has them. */
const credentials = () => (token() ? ['-H "X-Auth-Token: $FLOWCALLBACK_TOKEN"'] : []);

/** @param {Wait} wait @param {Decision} decision */
export function curlOf(wait, { body }) {
  const headers = Object.entries({
    'Content-Type': 'application/json',
    ...stateHeaders(wait),
  }).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`);
  return [`curl -i ${quote(new URL(callbackPath(wait), root).href)}`, ...credentials(), ...headers, `-d ${quote(body)}`].join(' \\\n  ');
}

/** @param {Wait} wait @param {Decision} decision */
export function flowcallbackOf(wait, { result, output, reason }) {
  const how = result === 'fail' ? (reason ? [`--error ${quote(reason)}`] : []) : [`--output ${quote(output)}`];
  return [
    `flowcallback ${result === 'fail' ? 'fail' : 'succeed'} --endpoint ${quote(root.href.replace(/\/$/, ''))} --project-id ${quote(wait.project_id)}`,
    `--workflow-id ${quote(wait.workflow_id)} --run-id ${quote(wait.run_id)} --state-id ${quote(wait.state_id)}`,
    ...how,
  ].join(' \\\n  ');
}
