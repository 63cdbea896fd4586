// What the page of a wait shows beside its card and its values.

import { html, nothing } from './lit/lit-html.js';
import { Refusal, Unreachable } from './api.js';
import { secondsTo } from './follow.js';
import * as icons from './icons.js';
import { lastAddress } from './list.js';
import { copy } from './say.js';
import { badge, hasDeadline, leftOf, question, timeLeft, wholeOf } from './status.js';
import { clock, limits, local, now, span, utc } from './time.js';
import { hasMenu } from './waitmenu.js';

/** @typedef {import('./api.js').Wait} Wait */
/** @typedef {{failing: import('./follow.js').Failing | null, problem: unknown, tryNow: () => void}} State */

/** @param {Wait} wait */
function time(wait) {
  const whole = wholeOf(wait);
  const left = leftOf(wait);
  const { soon, urgent } = limits(whole);
  return html`<div class="time">
    <p>
      ${timeLeft(wait, ' left')}<span>until <time datetime=${wait.expires_at} title=${utc(wait.expires_at)}>${local(wait.expires_at)}</time></span>
    </p>
    <meter min="0" max=${whole} low=${Math.min(urgent, whole)} high=${Math.min(soon, whole)} optimum=${whole} .value=${left} aria-label="Time left">
      ${span(left)}
    </meter>
  </div>`;
}

/** @param {State} state */
function trouble({ failing, problem, tryNow }) {
  if (problem)
    return html`<div class="notice warn" role="status">
      ${icons.note}
      <div>
        <h2>This page is not live any more</h2>
        <p>${problem instanceof Refusal ? problem.message : 'Reload it to go on.'}</p>
      </div>
    </div>`;
  if (!failing) return nothing;
  const title = failing.error instanceof Unreachable ? failing.error.message : 'The server cannot answer now';
  return html`<div class="notice warn" role="status">
    ${icons.offline}
    <div>
      <h2>${title}</h2>
      <p>
        You see the wait as it was at ${clock(failing.since)}.
        <span aria-hidden="true">Trying again in ${secondsTo(failing)} s.</span>
        <button type="button" class="link" @click=${tryNow}>Try now</button>
      </p>
    </div>
  </div>`;
}

/** The question, who asks, and the time left. @param {Wait} wait @param {State} state */
export function ask(wait, state) {
  const age = Math.max(0, now() - Date.parse(wait.created_at));
  return html`<div class="ask">
    <a class="back" href=${lastAddress(wait.project_id)}>${icons.back}Waits</a>
    ${trouble(state)}
    <p class="line">
      ${badge(wait.status)}${hasMenu(wait)
        ? html`<button type="button" class="button plain icon" popovertarget="more" aria-label="More for this wait">${icons.more}</button>`
        : nothing}
    </p>
    <h1 tabindex="-1">${question(wait)}</h1>
    <p class="muted even">
      <strong class="strong">${wait.workflow_id}</strong>
      <span class="by"
        >asked ${wait.opened_by ? `by ${wait.opened_by} ` : ''}<time datetime=${wait.created_at} title=${utc(wait.created_at)}
          >${span(age)} ago</time
        ></span
      >
      ${wait.tags?.length ? html`<span class="tags">${wait.tags.map((tag) => html`<span class="tag">${tag}</span>`)}</span>` : nothing}
    </p>
    ${wait.status === 'waiting' && hasDeadline(wait) ? time(wait) : nothing}
  </div>`;
}

/** @param {Wait} wait */
export function ids(wait) {
  /** @type {[string, string][]} */
  const all = [
    ['Wait', wait.wait_id],
    ['Workflow', wait.workflow_id],
    ['Run', wait.run_id],
    ['State', wait.state_id],
    ['Execution', wait.execution_id],
    ['Project', wait.project_id],
  ];
  return html`<section class="part" aria-labelledby="ids-head">
    <details class="fold">
      <summary>
        ${icons.next}
        <h2 id="ids-head">Ids</h2>
      </summary>
      <dl class="ids">
        ${all.map(
          ([name, text]) =>
            html`<dt>${name}</dt>
              <dd>
                <span class="id" title=${text}>${text}</span
                ><button type="button" class="copy" aria-label="Copy ${name.toLowerCase()} id" @click=${() => copy(text, `${name} id`)}>
                  ${icons.copy}
                </button>
              </dd>`,
        )}
      </dl>
    </details>
  </section>`;
}
