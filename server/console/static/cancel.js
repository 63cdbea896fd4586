// Cancelling one wait or several: the question, the progress, and what came of it.

import { html, nothing } from './lit/lit-html.js';
import { cancel, get } from './api.js';
import { lengthOf, schema } from './limits.js';
import { leave } from './session.js';
import { question } from './status.js';
import { counted } from './words.js';

/** @typedef {import('./api.js').Wait} Wait */

const named = 5; // waits that the question names

/**
 * @typedef {object} Owner the view that cancels
 * @property {AbortSignal} signal
 * @property {() => void} changed
 * @property {(wait: Wait) => void} update shows a wait as it is now
 * @property {(result: string) => void} done
 */

/** Has the browser ask before the page is closed. @param {Event} event */
const warn = (event) => event.preventDefault();

/**
 * Cancels a wait, and reads it. If the answer of the first is lost, the second tells what became of it.
 * @param {Wait} wait @param {string} reason
 * @returns {Promise<{after?: Wait, error?: Error}>}
 */
async function attempt(wait, reason) {
  /** @type {Error | undefined} */
  let error;
  await cancel(wait, reason).catch((e) => (error = e));
  try {
    return { after: await get(wait.project_id, wait.wait_id, {}), error };
  } catch (e) {
    return { error: error ?? /** @type {Error} */ (e) };
  }
}

/**
 * A cancelling that somebody is asked about.
 * @param {Wait[]} waits
 * @param {{cancelReason: string}} draft keeps the reason
 * @param {Owner} owner
 */
export function cancelling(waits, draft, { signal, changed, update, done }) {
  const state = {
    waits,
    get reason() {
      return draft.cancelReason;
    },
    count: 0, // of those that were sent
    cancelled: 0,
    before: 0, // were decided before
    isSending: false,
    problem: '',
    back() {
      if (!state.isSending) done(state.cancelled + state.before ? resultOf(state) : '');
    },
    /** @param {string} text */
    write(text) {
      draft.cancelReason = text;
      changed();
    },
    async send() {
      if (state.isSending || lengthOf(state.reason.trim()) > schema('CancelReason').maxLength) return;
      Object.assign(state, { isSending: true, count: 0, problem: '' });
      changed();
      addEventListener('beforeunload', warn);
      /** @type {Wait[]} */
      const left = [];
      for (const wait of state.waits) {
        const { after, error } = await attempt(wait, state.reason.trim());
        if (leave(error)) break;
        if (after?.status === 'cancelled') state.cancelled++;
        else if (after && after.status !== 'waiting') state.before++;
        else {
          left.push(wait);
          state.problem = `${counted(left.length, 'wait', 'waits')} could not be cancelled: ${error?.message ?? 'try again'}`;
        }
        state.count++;
        if (signal.aborted) continue; // it goes on if the view is left
        if (after) update(after);
        changed();
      }
      removeEventListener('beforeunload', warn);
      state.isSending = false;
      if (signal.aborted) return;
      if (left.length === 0) return done(resultOf(state));
      state.waits = left;
      changed();
    },
  };
  return state;
}

/** @param {{cancelled: number, before: number}} state */
function resultOf({ cancelled, before }) {
  const parts = [`${counted(cancelled, 'wait was', 'waits were')} cancelled.`];
  if (before) parts.push(`${counted(before, 'wait', 'waits')} had been decided before, and ${before === 1 ? 'stays' : 'stay'} so.`);
  return parts.join(' ');
}

/** @param {ReturnType<typeof cancelling>} state */
export function cancelDialog(state) {
  const { waits, reason, isSending } = state;
  const most = schema('CancelReason').maxLength;
  const used = lengthOf(reason.trim());
  const [flows, are] = waits.length === 1 ? [html`Flow <strong>${waits[0].workflow_id}</strong>`, 'is'] : ['These flows', 'are'];
  return html`<form
    class="ask-again"
    @submit=${(/** @type {Event} */ event) => {
      event.preventDefault();
      state.send();
    }}
  >
    <h2 id="ask">Cancel ${waits.length === 1 ? 'this wait' : counted(waits.length, 'wait', 'waits')}?</h2>
    <div class="body">
      <ul>
        ${waits.slice(0, named).map((wait) => html`<li><strong>${question(wait)}</strong></li>`)}
        ${waits.length > named ? html`<li>and ${waits.length - named} more</li>` : nothing}
      </ul>
      <p>${flows} ${are} told that nobody will decide. This cannot be undone.</p>
    </div>
    <div class="field">
      <label for="why">Reason <span class="optional">Optional</span></label>
      <input
        id="why"
        autocomplete="off"
        .value=${reason}
        ?readonly=${isSending}
        aria-invalid=${used > most ? 'true' : nothing}
        aria-describedby="why-h"
        @input=${(/** @type {Event} */ event) => state.write(/** @type {HTMLInputElement} */ (event.target).value)}
      />
      <p class="hint" id="why-h">
        <span class=${used > most ? 'error' : ''}>${used > most ? `${used - most} too many` : 'The record keeps it.'}</span
        ><span class="num">${used} of ${most}</span>
      </p>
    </div>
    ${state.problem ? html`<p class="error" role="alert">${state.problem}</p>` : nothing}
    <div class="buttons">
      <button type="button" class="button" aria-disabled=${isSending} @click=${state.back}>${waits.length === 1 ? 'Keep it' : 'Keep them'}</button>
      <button class="button danger" aria-disabled=${isSending || used > most}>
        ${isSending
          ? `Cancelling ${state.count} of ${waits.length}…`
          : waits.length === 1
            ? 'Cancel this wait'
            : `Cancel ${counted(waits.length, 'wait', 'waits')}`}
      </button>
    </div>
  </form>`;
}
