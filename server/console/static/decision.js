// The card with the decision.

import { html, nothing } from './lit/lit-html.js';
import { signOutButton } from './blank.js';
import { draftOf } from './drafts.js';
import { editor } from './editor.js';
import { fieldOf, idOf } from './fields.js';
import * as icons from './icons.js';
import { me } from './store.js';
import { counted } from './words.js';

/** @typedef {import('./api.js').Wait} Wait */

/**
 * @typedef {object} Deciding the state of a decision
 * @property {Wait} wait
 * @property {import('./drafts.js').Draft} draft what was written
 * @property {'approve' | 'reject' | null} asks what the dialog asks
 * @property {'success' | 'fail' | null} sending
 * @property {string} problem
 * @property {string[]} sent the bodies that were sent
 * @property {(() => void) | null} again sends once more what got no answer
 * @property {boolean} isOwnCancel whether it was cancelled from this page
 * @property {string} command that could not be copied
 * @property {() => void} changed
 * @property {(result: 'success' | 'fail', body: string) => void} send
 */

/**
 * A decision that nobody has made yet, with what was written for it before.
 * @param {Wait} wait
 * @param {() => void} changed
 * @param {Deciding['send']} send
 * @returns {Deciding}
 */
export const deciding = (wait, changed, send) => ({
  wait,
  draft: draftOf(wait),
  asks: null,
  sending: null,
  problem: '',
  sent: [],
  again: null,
  isOwnCancel: false,
  command: '',
  changed,
  send,
});

/** Whether the answer cannot be changed: it is on the way, or may have arrived. @param {Deciding} d */
const isFixed = (d) => d.sending !== null || d.again !== null;

/** @param {Deciding} d @param {Event} event */
function approve(d, event) {
  event.preventDefault();
  if (isFixed(d)) return;
  d.problem = '';
  if (d.draft.answer.isValid) d.asks = 'approve';
  else d.draft.answer.leaveAll();
  d.changed();
  if (!d.asks) toFault(d);
}

/** Moves the focus to what is wrong. @param {Deciding} d */
function toFault({ draft: { answer } }) {
  const [first] = answer.faulty;
  document.getElementById(first ? idOf(first, answer.fields) : 'json')?.focus();
}

/** The fields of the answer; fixed: they can be read and copied. @param {Deciding} d @param {boolean} isFixed */
export function fields({ draft: { answer }, changed }, isFixed) {
  if (answer.isForm)
    return answer.fields.map((field) =>
      fieldOf({
        id: idOf(field, answer.fields),
        field,
        answer,
        isFixed,
        changed,
      }),
    );
  return answer.isOpen || isFixed ? editor(answer, isFixed, changed) : nothing;
}

/** @param {Deciding} d */
function body(d) {
  const { draft, changed } = d;
  const { answer } = draft;
  if (answer.isForm) return html`<div class="fields" tabindex="0" role="group" aria-label="Answer">${fields(d, isFixed(d))}</div>`;
  const toggle = (/** @type {Event} */ event) => {
    answer.isOpen = /** @type {HTMLDetailsElement} */ (event.target).open;
    changed();
  };
  return html`<div class="say">
    <p class="muted">The flow goes on as soon as you decide.</p>
    <details class="more" ?open=${answer.isOpen} @toggle=${toggle}>
      <summary>${icons.next}${answer.isOpen ? 'Details' : 'Add details'}</summary>
      ${fields(d, isFixed(d))}
    </details>
  </div>`;
}

/** The card of somebody who may decide. @param {Deciding} d */
export function decisionCard(d) {
  const { draft, sending, problem, again } = d;
  const { answer } = draft;
  const faulty = answer.faulty.length;
  const shown = answer.fields.filter((field) => answer.shownError(field)).length;
  const change = () => {
    Object.assign(d, { again: null, problem: '' });
    d.changed();
  };
  const reject = () => {
    if (isFixed(d)) return;
    d.asks = 'reject';
    d.problem = '';
    d.changed();
  };
  return html`<form
    class="decide"
    aria-labelledby="decide-head"
    aria-busy=${sending ? 'true' : nothing}
    novalidate
    @submit=${(/** @type {Event} */ event) => approve(d, event)}
  >
    <header><h2 id="decide-head">Your decision</h2></header>
    ${body(d)}
    <div class="acts">
      <div class="pair">
        <button class="button primary" ?disabled=${isFixed(d)}>${icons.yes}${sending === 'success' ? 'Approving…' : 'Approve'}</button>
        <button type="button" class="button reject" ?disabled=${isFixed(d)} @click=${reject}>
          ${icons.no}${sending === 'fail' ? 'Rejecting…' : 'Reject'}
        </button>
        <span class="sends">sends <code>success</code></span
        ><span class="sends">sends <code>fail</code></span>
      </div>
      ${problem
        ? html`<p class="error" role="alert">
            ${icons.note}<span
              >${problem}
              ${again
                ? html`<button type="button" class="link" @click=${again}>Send again</button>
                    <button type="button" class="link" @click=${change}>Change it</button>`
                : nothing}</span
            >
          </p>`
        : nothing}
      ${shown && !problem
        ? html`<p class="error" role="status">${icons.note}${counted(faulty, 'answer needs', 'answers need')} a look before you can approve</p>`
        : nothing}
      ${faulty && !shown
        ? html`<p class="only-narrow to-give">
            <button type="button" class="link" @click=${() => toFault(d)}>${counted(faulty, 'answer', 'answers')} still needed to approve</button>
          </p>`
        : nothing}
    </div>
  </form>`;
}

/** The card of somebody who may look. */
export const readOnlyCard = () =>
  html`<section class="decide" aria-labelledby="decide-head">
    <header><h2 id="decide-head">Not yours to decide</h2></header>
    <div class="say">
      <p class="muted">
        You are signed in as <strong class="strong">${me()?.name}</strong>, who may look but not decide. Somebody with the permission
        <code>callback</code> can.
      </p>
      <p>${signOutButton('Sign in as somebody else')}</p>
    </div>
  </section>`;

/** The card of a wait that no browser can decide. @param {string} reason */
export const unsendableCard = (reason) =>
  html`<section class="decide" aria-labelledby="decide-head">
    <header><h2 id="decide-head">A browser cannot decide this</h2></header>
    <div class="say">
      <p class="muted">
        ${reason} The flow can be called back with a program instead, such as
        <code>flowcallback succeed</code>; the ids are below.
      </p>
    </div>
  </section>`;
