// The table of a list.

import { html, nothing } from './lit/lit-html.js';
import { live } from './lit/directives/live.js';
import { repeat } from './lit/directives/repeat.js';
import { address } from './router.js';
import { badge, question, shortId, timeLeft, who } from './status.js';
import { about, now, utc } from './time.js';

/** @typedef {import('./api.js').Wait} Wait */

/** @typedef {import('./selection.js').Selection} Selection */

const dash = html`<span class="dash">–</span>`;

/** @param {Wait} wait */
function name(wait) {
  return html`<th role="rowheader" class="q-col">
    <a class="q" href=${address(wait.project_id, wait.wait_id)}>${question(wait)}</a
    ><span class="sub"
      ><span title=${wait.workflow_id}>${wait.workflow_id}</span>${shortId(wait.run_id)}${(wait.tags ?? []).map(
        (tag) => html`<span class="tag">${tag}</span>`,
      )}</span
    >
  </th>`;
}

/** @param {string} instant @param {unknown} before @param {unknown} after */
const ago = (instant, before = nothing, after = nothing) =>
  html`<time datetime=${instant} title=${utc(instant)}>${before}${about(now() - Date.parse(instant))}${after}</time>`;

/** @param {string} text */
const word = (text) => html`<span class="word">${text}</span>`;

/** @param {Wait} wait @param {Selection | null} picking */
function waitingRow(wait, picking) {
  const isWaiting = wait.status === 'waiting';
  /** @param {Event} event */
  const pick = (event) => picking?.pick(wait.wait_id, /** @type {HTMLInputElement} */ (event.target).checked);
  return html`<tr role="row" class=${isWaiting ? '' : 'settled'} data-id=${wait.wait_id}>
    <td role="cell" class="pick-col">
      ${picking && isWaiting
        ? html`<label class="pick"
            ><input type="checkbox" aria-label="Select: ${question(wait)}" .checked=${live(picking.has(wait.wait_id))} @change=${pick}
          /></label>`
        : nothing}
    </td>
    ${name(wait)}
    <td role="cell">${badge(wait.status)}</td>
    <td role="cell" class="who who-col" title=${wait.opened_by ?? nothing}>
      ${isWaiting ? (wait.opened_by ?? dash) : wait.settled_by ? `by ${who(wait.settled_by)}` : dash}
    </td>
    <td role="cell" class="end age age-col">${ago(wait.created_at, word('asked '), word(' ago'))}</td>
    <td role="cell" class="end left-col">
      ${isWaiting ? html`<span title="until ${utc(wait.expires_at)}">${timeLeft(wait, word(' left'))}</span>` : '–'}
    </td>
  </tr>`;
}

/** @param {Wait} wait */
function decidedRow(wait) {
  const took = wait.settled_at && about(Date.parse(wait.settled_at) - Date.parse(wait.created_at));
  return html`<tr role="row" data-id=${wait.wait_id}>
    ${name(wait)}
    <td role="cell">${badge(wait.status)}</td>
    <td role="cell" class="who who-col">${wait.status === 'waiting' ? (wait.opened_by ?? dash) : wait.settled_by ? who(wait.settled_by) : dash}</td>
    <td role="cell" class="end age">${wait.settled_at ? ago(wait.settled_at, nothing, ' ago') : timeLeft(wait, word(' left'))}</td>
    <td role="cell" class="end age took">${took ?? dash}</td>
  </tr>`;
}

const by = {
  deadline: 'by deadline',
  newest: 'newest first',
  oldest: 'oldest first',
};

/**
 * @param {import('./listing.js').Listing} listing
 * @param {Selection | null} picking null if nothing can be selected
 */
export function table({ rows, choice }, picking) {
  const label = choice.text ? `Waits that match ${choice.text}` : `Waits, ${by[choice.sort]}`;
  const body = (/** @type {(wait: Wait) => unknown} */ row) =>
    html`<tbody role="rowgroup">
      ${repeat(rows, (wait) => wait.wait_id, row)}
    </tbody>`;
  if (choice.status !== 'waiting') {
    return html`<table class="rows done" role="table" aria-label=${label}>
      <thead role="rowgroup">
        <tr role="row">
          <th role="columnheader">Question</th>
          <th role="columnheader">Status</th>
          <th role="columnheader" class="who-col">
            ${{ cancelled: 'Cancelled by', '': 'By' }[/** @type {string} */ (choice.status)] ?? 'Decided by'}
          </th>
          <th role="columnheader" class="end">
            ${{ expired: 'Expired', cancelled: 'Cancelled', '': 'Decided or left' }[/** @type {string} */ (choice.status)] ?? 'Decided'}
          </th>
          <th role="columnheader" class="end took">Took</th>
        </tr>
      </thead>
      ${body(decidedRow)}
    </table>`;
  }
  const waiting = rows.filter((wait) => wait.status === 'waiting');
  /** @param {Event} event */
  const pickAll = (event) => picking?.pickAll(/** @type {HTMLInputElement} */ (event.target).checked);
  const isAll = picking !== null && waiting.length > 0 && waiting.every((wait) => picking.has(wait.wait_id));
  return html`<table class="rows" role="table" aria-label=${label}>
    <thead role="rowgroup">
      <tr role="row">
        <th role="columnheader" class="pick-col">
          ${picking
            ? html`<label class="pick"
                ><input type="checkbox" aria-label="Select the ${waiting.length} shown" .checked=${live(isAll)} @change=${pickAll}
              /></label>`
            : html`<span class="unseen">Selection</span>`}
        </th>
        <th role="columnheader">Question</th>
        <th role="columnheader">Status</th>
        <th role="columnheader" class="who-col">Opened by</th>
        <th role="columnheader" class="end">Age</th>
        <th role="columnheader" class="end">Time left</th>
      </tr>
    </thead>
    ${body((wait) => waitingRow(wait, picking))}
  </table>`;
}

const bones = ['a', 'b', 'c', 'a', 'b', 'c', 'b', 'a'];

/** Lines where rows will be. */
export const loading = () =>
  html`<table class="rows" aria-hidden="true">
    <tbody>
      ${bones.map(
        (bone) =>
          html`<tr>
            <td class="pick-col"></td>
            <td class="q-col"><span class="bone ${bone}"></span><span class="bone d"></span></td>
            <td><span class="bone e"></span></td>
            <td class="who-col"><span class="bone f"></span></td>
            <td class="end"><span class="bone g"></span></td>
            <td class="end"><span class="bone h"></span></td>
          </tr>`,
      )}
    </tbody>
  </table>`;
