// What became of a wait, and of an answer that came too late.

import { html, nothing } from './lit/lit-html.js';
import { fields } from './decision.js';
import * as icons from './icons.js';
import { copy } from './say.js';
import { shortId, statuses, who } from './status.js';
import { now, span, step, utc } from './time.js';

/** @typedef {import('./api.js').Wait} Wait */
/** @typedef {import('./api.js').Link} Link */
/** @typedef {import('./decision.js').Deciding} Deciding */

/** @param {number} at */
const agoOf = (at) => (now() - at < 5000 ? 'just now' : `${span(now() - at)} ago`);

const looks = {
  waiting: '',
  success: 'good',
  fail: 'bad',
  expired: 'warn',
  cancelled: '',
};
const marks = {
  waiting: icons.waiting,
  success: icons.yes,
  fail: icons.no,
  expired: icons.clock,
  cancelled: icons.cancelled,
};

/** @param {Wait} wait */
function headingOf(wait) {
  if (wait.status === 'expired') return 'Nobody decided in time';
  return wait.settled_by ? `${statuses[wait.status].word} by ${who(wait.settled_by)}` : statuses[wait.status].word;
}

/** @param {Wait} wait */
function meaningOf(wait) {
  const settled = Date.parse(wait.settled_at ?? wait.expires_at);
  const after = span(settled - Date.parse(wait.created_at));
  switch (wait.status) {
    case 'success':
      return `The flow went on. The answer came ${after} after it asked.`;
    case 'fail':
      return `The flow was told no. The answer came ${after} after it asked.`;
    case 'expired':
      return `The deadline passed ${agoOf(settled)}. The flow was told so; it can no longer be approved or rejected here.`;
    default:
      return 'Nobody decided. The flow was told that the wait was withdrawn.';
  }
}

/** The reason that was given, if any. @param {Wait} wait */
const reasonOf = (wait) => wait.outcome?.error ?? wait.cancel_reason;

/** @param {unknown} what @param {string} when */
const stepOf = (what, when) => html`<li><span>${what}</span><time datetime=${when} title=${utc(when)}>${step(when)}</time></li>`;

/** @param {Wait} wait @param {Link[]} links */
function steps(wait, links) {
  const end = wait.status === 'expired' ? 'Deadline passed' : headingOf(wait);
  return html`<ol class="steps">
    ${stepOf(wait.opened_by ? `Asked by ${wait.opened_by}` : 'Asked', wait.created_at)}
    ${links.map((link) => stepOf(`Handed over to ${link.to ?? `the holder of link ${link.link_id}`}`, link.created_at))}
    ${stepOf(end, wait.settled_at ?? wait.expires_at)}
  </ol>`;
}

/** @param {string} next the address of the next wait; '' if there is none */
const nextButton = (next) => (next ? html`<a class="button" href=${next}>Next wait${icons.next}</a>` : nothing);

/** The card of a wait that was decided. @param {Wait} wait @param {import('./aftermath.js').Aftermath} aftermath */
export function verdictCard(wait, { links, next }) {
  const reason = reasonOf(wait);
  return html`<section class="decide" aria-labelledby="verdict-head">
    <div class="verdict ${looks[wait.status]}">
      <span class="mark">${marks[wait.status]}</span>
      <div>
        <h2 id="verdict-head" tabindex="-1">${headingOf(wait)}</h2>
        <p class="muted">${meaningOf(wait)}</p>
      </div>
      ${reason ? html`<blockquote>${reason}</blockquote>` : nothing} ${steps(wait, links)}
      <p class="small muted">
        ${wait.status === 'expired' ? 'To ask again, the flow opens a new wait.' : nothing}
        ${wait.status === 'success' || wait.status === 'fail' ? html`Execution ${shortId(wait.execution_id)}` : nothing}
      </p>
      ${next ? html`<p>${nextButton(next)}</p>` : nothing}
    </div>
  </section>`;
}

const verbs = {
  waiting: '',
  success: 'approved',
  fail: 'rejected',
  expired: '',
  cancelled: 'cancelled',
};

/** @param {Wait} wait */
function fasterOf(wait) {
  const ago = agoOf(Date.parse(wait.settled_at ?? wait.expires_at));
  if (wait.status === 'expired') return `The deadline passed ${ago}`;
  return `${wait.settled_by ? who(wait.settled_by) : 'Somebody'} ${verbs[wait.status]} this ${ago}`;
}

/** The card of somebody who was still writing when the wait was decided. @param {Deciding} d @param {import('./aftermath.js').Aftermath} aftermath */
export function lateCard(d, { next }) {
  const { wait, draft, sent } = d;
  const { answer } = draft;
  const reason = [draft.reason, draft.cancelReason].filter(Boolean).join('\n');
  const given = reasonOf(wait);
  const written = [answer.written, reason].filter(Boolean).join('\n');
  return html`<section class="decide kept" aria-labelledby="verdict-head">
    <div class="say">
      <div class="notice warn">
        ${icons.note}
        <div>
          <h2 id="verdict-head" tabindex="-1">${fasterOf(wait)}</h2>
          ${given ? html`<p>“${given}”</p>` : nothing}
          <p class="muted">
            Your answer was not ${sent.length ? 'taken' : 'sent'}.
            ${wait.status === 'expired' ? 'The flow was told that nobody decided in time.' : 'The first decision stands.'}
          </p>
        </div>
      </div>
    </div>
    ${written
      ? html`<div class="fields kept-fields" tabindex="0" role="group" aria-labelledby="kept-head">
          <h3 id="kept-head" class="muted">What you had written</h3>
          ${answer.isStarted ? fields(d, true) : nothing}
          ${reason
            ? html`<div class="field">
                <label for="kept-reason">Reason</label><textarea id="kept-reason" rows="2" readonly .value=${reason}></textarea>
              </div>`
            : nothing}
        </div>`
      : nothing}
    ${written || next
      ? html`<div class="acts">
          <div class="pair">
            ${written
              ? html`<button type="button" class="button" @click=${() => copy(written, 'What you had written')}>${icons.copy}Copy</button>`
              : nothing}
            ${nextButton(next)}
          </div>
        </div>`
      : nothing}
  </section>`;
}
