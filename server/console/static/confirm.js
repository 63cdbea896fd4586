// What is asked once more before a decision is sent, because there is no way back.

import { html, nothing } from './lit/lit-html.js';
import { failBody, successBody } from './answer.js';
import { curlOf, flowcallbackOf } from './commands.js';
import { readOf } from './form.js';
import * as icons from './icons.js';
import { lengthOf, schema } from './limits.js';
import { copy } from './say.js';
import { question } from './status.js';

/** @typedef {import('./decision.js').Deciding} Deciding */

/** Whether a reason is not too long. @param {string} reason */
const reasonFits = (reason) => lengthOf(reason.trim()) <= schema('Reason').maxLength;

/** The ways to send the same from a shell. @param {Deciding} d @param {import('./commands.js').Decision} decision */
function copies(d, decision) {
  const put = async (/** @type {string} */ command, /** @type {string} */ what) => {
    d.command = (await copy(command, what)) ? '' : command;
    d.changed();
  };
  return html`<p class="copies small muted">
      Copy as
      <button type="button" class="link" data-copy="curl" @click=${() => put(curlOf(d.wait, decision), 'curl command')}>curl</button>
      or
      <button type="button" class="link" data-copy="flowcallback" @click=${() => put(flowcallbackOf(d.wait, decision), 'flowcallback command')}>
        flowcallback
      </button>
    </p>
    ${d.command
      ? html`<p class="small">This browser does not let the page copy. Select it here:</p>
          <pre class="code" tabindex="0" role="region" aria-label="Command">${d.command}</pre>`
      : nothing}`;
}

/** @param {Deciding} d */
const leaveDialog = (d) => () => {
  d.asks = null;
  d.command = '';
  d.changed();
};

/** @param {Deciding} d */
function approveDialog(d) {
  const { wait, draft } = d;
  const { answer } = draft;
  const output = answer.output;
  const given = answer.fields.filter(({ name }) => answer.text(name).trim() !== '');
  const isEmpty = answer.isForm ? given.length === 0 : output === '{}';
  const sent = answer.isForm
    ? html`<dl class="values">
        ${given.map(
          (field) =>
            html`<dt>${field.label}</dt>
              <dd>${readOf(field, answer.text(field.name))}</dd>`,
        )}
      </dl>`
    : html`<pre class="code" tabindex="0" role="region" aria-label="Output">${output}</pre>`;
  return html`<form
    class="ask-again"
    @submit=${(/** @type {Event} */ event) => {
      event.preventDefault();
      d.send('success', successBody(output));
    }}
  >
    <h2 id="ask">Approve?</h2>
    <div class="body">
      <p><strong>${question(wait)}</strong></p>
      <p>Flow <strong>${wait.workflow_id}</strong> goes on at once${isEmpty ? '' : ' with this answer'}. This cannot be undone.</p>
    </div>
    ${isEmpty ? nothing : sent}
    <div class="buttons">
      <button type="button" class="button" @click=${leaveDialog(d)}>Back</button>
      <button class="button primary" autofocus>${icons.yes}Approve</button>
    </div>
    ${copies(d, {
      result: 'success',
      output,
      reason: '',
      body: successBody(output),
    })}
  </form>`;
}

/** @param {Deciding} d */
function rejectDialog(d) {
  const { wait, draft } = d;
  const { reason } = draft;
  const most = schema('Reason').maxLength;
  const used = lengthOf(reason.trim());
  const tooMany = used - most;
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (reasonFits(reason)) d.send('fail', failBody(reason.trim()));
  };
  const key = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !event.repeat) send(event);
  };
  const write = (/** @type {Event} */ event) => {
    draft.reason = /** @type {HTMLTextAreaElement} */ (event.target).value;
    d.changed();
  };
  return html`<form class="ask-again" @submit=${send}>
    <h2 id="ask">Reject?</h2>
    <div class="body">
      <p><strong>${question(wait)}</strong></p>
      <p>Flow <strong>${wait.workflow_id}</strong> is told no and goes on at once. This cannot be undone.</p>
    </div>
    <div class="field">
      <label for="reason">Reason <span class="optional">Optional</span></label>
      <textarea
        id="reason"
        rows="2"
        .value=${reason}
        aria-invalid=${tooMany > 0 ? 'true' : nothing}
        aria-describedby="reason-h"
        autofocus
        @input=${write}
        @keydown=${key}
      ></textarea>
      <p class="hint" id="reason-h">
        <span class=${tooMany > 0 ? 'error' : ''}>${tooMany > 0 ? `${tooMany} too many` : 'The flow and the record keep it.'}</span
        ><span class="num">${used} of ${most}</span>
      </p>
    </div>
    <div class="buttons">
      <button type="button" class="button" @click=${leaveDialog(d)}>Back</button>
      <button class="button danger" ?disabled=${tooMany > 0}>${icons.no}Reject</button>
    </div>
    ${tooMany > 0
      ? nothing
      : copies(d, {
          result: 'fail',
          output: '{}',
          reason: reason.trim(),
          body: failBody(reason.trim()),
        })}
  </form>`;
}

/** The dialog that is open, or null. @param {Deciding} d */
export function decisionDialog(d) {
  if (d.asks === null) return null;
  return d.asks === 'approve' ? approveDialog(d) : rejectDialog(d);
}

/** What Esc does in the dialog. @param {Deciding} d */
export const backFromDialog = (d) => leaveDialog(d)();
