// Moving the deadline of a wait.

import { html, nothing } from './lit/lit-html.js';
import { moveDeadline } from './api.js';
import { schema } from './limits.js';
import { leave } from './session.js';
import { question } from './status.js';
import { local, now, span } from './time.js';

/** @typedef {import('./api.js').Wait} Wait */

/** Steps from the present deadline, in seconds. @type {[number, string][]} */
const later = [
  [3600, '1 hour'],
  [86_400, '1 day'],
  [604_800, '1 week'],
];

/** An instant as a field for days and times has it. @param {number} at */
function fieldValue(at) {
  const shifted = new Date(at - new Date(at).getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

/**
 * @param {Wait} wait
 * @param {{changed: () => void, update: (wait: Wait) => void, done: () => void}} owner
 */
export function moving(wait, { changed, update, done }) {
  const state = {
    wait,
    to: fieldValue(Date.parse(wait.expires_at) + later[0][0] * 1000),
    isSending: false,
    problem: '',
    back: done,
    /** @param {string} text */
    write(text) {
      state.to = text;
      changed();
    },
    /** Seconds from now, or what is wrong with them. @returns {number | string} */
    seconds() {
      const { minimum, maximum } = schema('ChangeWaitRequest', 'timeout_seconds');
      const seconds = Math.round((Date.parse(state.to) - now()) / 1000);
      if (Number.isNaN(seconds)) return 'Must be a day and a time';
      if (seconds < minimum) return 'Must be in the future';
      if (seconds > maximum) return `Must be within ${span(maximum * 1000)} from now`;
      return seconds;
    },
    async send() {
      const seconds = state.seconds();
      if (state.isSending || typeof seconds === 'string') return;
      state.isSending = true;
      state.problem = '';
      changed();
      try {
        update(await moveDeadline(wait, seconds));
        done();
      } catch (error) {
        if (leave(error)) return;
        state.problem = /** @type {Error} */ (error).message;
        state.isSending = false;
        changed();
      }
    },
  };
  return state;
}

/** @param {ReturnType<typeof moving>} state */
export function deadlineDialog(state) {
  const { wait, to, isSending, problem } = state;
  const seconds = state.seconds();
  const error = typeof seconds === 'string' ? seconds : '';
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    state.send();
  };
  const add = (/** @type {number} */ more) => () => state.write(fieldValue(Date.parse(wait.expires_at) + more * 1000));
  return html`<form class="ask-again" @submit=${submit}>
    <h2 id="ask">Move the deadline</h2>
    <div class="body">
      <p><strong>${question(wait)}</strong></p>
      <p>The deadline is ${local(wait.expires_at)}. If nobody has decided by the new one, flow <strong>${wait.workflow_id}</strong> is told so.</p>
    </div>
    <div class="field">
      <label for="deadline">New deadline</label>
      <input
        id="deadline"
        type="datetime-local"
        .value=${to}
        aria-invalid=${error ? 'true' : nothing}
        aria-describedby="deadline-h"
        autofocus
        @input=${(/** @type {Event} */ event) => state.write(/** @type {HTMLInputElement} */ (event.target).value)}
      />
      ${error
        ? html`<p class="error" id="deadline-h">${error}</p>`
        : html`<p class="hint" id="deadline-h">In ${span(Number(seconds) * 1000)}, in the time zone of this browser</p>`}
    </div>
    <p class="buttons later">${later.map(([more, word]) => html`<button type="button" class="button" @click=${add(more)}>${word} later</button>`)}</p>
    ${problem ? html`<p class="error" role="alert">${problem}</p>` : nothing}
    <div class="buttons">
      <button type="button" class="button" @click=${state.back}>Back</button>
      <button class="button primary" aria-disabled=${isSending || error !== ''}>${isSending ? 'Moving…' : 'Move the deadline'}</button>
    </div>
  </form>`;
}
