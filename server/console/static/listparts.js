// What stands around the rows of a list.

import { html, nothing } from './lit/lit-html.js';
import { live } from './lit/directives/live.js';
import { blank } from './blank.js';
import * as icons from './icons.js';
import { address, go } from './router.js';
import { copy } from './say.js';
import { statuses } from './status.js';
import { letterKeys, me, offers } from './store.js';
import { clock, now } from './time.js';
import { counted } from './words.js';

/** @typedef {import('./api.js').Status} Status */
/** @typedef {import('./livelist.js').LiveList} LiveList */
/** @typedef {import('./listing.js').Choice} Choice */
/** @typedef {(change: {[name: string]: string}) => string} To the address of the list with a change */

const typing = 300; // milliseconds without a key after which a search begins

/** @param {LiveList} list */
export function titleOf({ choice, counts }) {
  const count = counts.all?.waiting;
  const word = choice.text ? 'Search' : choice.status && choice.status !== 'waiting' ? statuses[choice.status].word : 'Waits';
  return `${count?.waits ? `(${count.waits}${count.more ? '+' : ''}) ` : ''}${word} · Flowcallback`;
}

/** @param {LiveList} list @param {To} to */
export function tabs({ choice, counts }, to) {
  const count = (/** @type {Status | ''} */ status) => {
    const all = counts.found && Object.entries(counts.found).filter(([name]) => !status || name === status);
    return all ? `${all.reduce((sum, [, { waits }]) => sum + waits, 0)}${all.some(([, { more }]) => more) ? '+' : ''}` : '';
  };
  const tab = (/** @type {Status | ''} */ status, /** @type {string} */ word) =>
    html`<a href=${to({ status: status || 'all', sort: '' })} aria-current=${choice.status === status ? 'page' : nothing}
      >${word} <span class="num">${count(status)}</span></a
    >`;
  const names = /** @type {Status[]} */ (offers('count') ? Object.keys(statuses) : ['waiting']);
  return html`<nav class="tabs" aria-label="Status">
    ${choice.text && offers('count') ? tab('', 'All') : nothing}${names.map((name) => tab(name, statuses[name].word))}
  </nav>`;
}

let timer = 0;

/** @param {LiveList} list @param {To} to @param {AbortSignal} signal */
export function head({ project, choice }, to, signal) {
  const search = (/** @type {Event} */ event) => {
    const text = /** @type {HTMLInputElement} */ (event.target).value.trim();
    clearTimeout(timer);
    timer = setTimeout(
      () => signal.aborted || text === choice.text || go(address(project, '', { q: text }), { replace: choice.text !== '' }),
      event.type === 'input' ? typing : 0,
    );
  };
  const sort = (/** @type {Event} */ event) =>
    go(to({ sort: /** @type {HTMLSelectElement} */ (event.target).value }), {
      replace: true,
    });
  const option = (/** @type {string} */ value, /** @type {string} */ word) =>
    html`<option value=${value} ?selected=${choice.sort === value}>${word}</option>`;
  return html`<div class="list-head">
    <h1 id="top">Waits</h1>
    <form class="search" role="search" @submit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${icons.find}<label class="unseen" for="q">Search waits</label>
      <input
        id="q"
        name="q"
        type="search"
        placeholder="Workflow, run, state, wait id${offers('count') ? ' or tag' : ''}"
        autocomplete="off"
        spellcheck="false"
        @input=${search}
        @search=${search}
      />
    </form>
    ${offers('count')
      ? html`<label class="sort"
          ><span class="label muted small">Sort</span>
          <select name="sort" .value=${live(choice.sort)} @change=${sort}>
            ${option('deadline', 'Deadline')}${option('newest', 'Newest')}${option('oldest', 'Oldest')}
          </select></label
        >`
      : nothing}
  </div>`;
}

/** @param {LiveList} list @param {boolean} canPick */
export function foot({ listing, connection, choice }, canPick) {
  const { rows, isDone } = listing;
  let text = counted(rows.length, 'wait', 'waits');
  if (connection.failing) text = `${rows.length}${isDone ? '' : ' and more'}, as of ${clock(connection.failing.since)}`;
  else if (!isDone) text = `${rows.length} shown · more as you scroll`;
  else if (choice.text) text = `${counted(rows.length, 'matches', 'match')} “${choice.text}”`;
  const keys = html`<span class="keys"
    ><kbd>J</kbd> <kbd>K</kbd> move &nbsp; <kbd>Enter</kbd> open &nbsp; ${canPick ? html`<kbd>X</kbd> select &nbsp; ` : nothing}<kbd>/</kbd>
    search</span
  >`;
  return html`<p class="foot"><span>${text}</span>${letterKeys() ? keys : nothing}</p>`;
}

/** @param {string} project @param {Choice} choice */
export const noMatch = (project, choice) =>
  blank({
    icon: icons.find,
    title: `No wait matches “${choice.text}”`,
    text: `The search looks for workflows that begin so, and for whole runs, states${offers('count') ? ', wait ids and tags' : ' and wait ids'}, in ${choice.status ? 'this' : 'every'} status.`,
    buttons: html`<a class="button" href=${address(project)}>Clear search</a>`,
    level: 2,
  });

const example = `flowcallback waits open \\
  --workflow-id order-approval \\
  --run-id r1 --state-id approve \\
  --title "May order 48213 go out?"`;

/** @param {Choice} choice */
export function empty({ status }) {
  if (status !== 'waiting') {
    const title = status ? `No wait is ${statuses[status].word.toLowerCase()}` : 'There are no waits';
    return blank({
      icon: icons.tray,
      title,
      text: 'What was decided is kept for as long as whoever runs this server chose.',
      level: 2,
    });
  }
  const canOpen = offers('open');
  return blank({
    icon: icons.tray,
    title: 'Nothing waits for you',
    text: `When a flow asks for a decision, it appears here at once.${canOpen ? ' To try it, open one from a shell:' : ''}`,
    more: canOpen ? html`<code class="code" tabindex="0" role="region" aria-label="Command">${example}</code>` : nothing,
    buttons: canOpen ? html`<button type="button" class="button" @click=${() => copy(example, 'Command')}>${icons.copy}Copy</button>` : undefined,
    level: 2,
  });
}

/** @param {unknown} icon @param {unknown} body @param {string} [look] */
const notice = (icon, body, look = '') =>
  html`<div class="notice notice-top ${look}" role="status">
    ${icon}
    <div>${body}</div>
  </div>`;

/** @param {LiveList} list @param {string} told */
export function notices({ connection, wasRead }, told) {
  const { failing } = connection;
  const seconds = failing && Math.max(0, Math.ceil((failing.next - now()) / 1000));
  const again = html`<button type="button" class="link" @click=${() => connection.tryNow()}>Try now</button>`;
  const engine = me()?.engine ?? 'The engine';
  return html`${failing && wasRead
    ? notice(
        icons.offline,
        html`<h2>${failing.error.message}</h2>
          <p>
            You see the waits as they were at ${clock(failing.since)}.
            <span aria-hidden="true">Trying again in ${seconds} s.</span>
            ${again}
          </p>`,
        'warn',
      )
    : nothing}
  ${told ? notice(icons.note, html`<p>${told}</p>`) : nothing}
  ${offers('count')
    ? nothing
    : notice(
        icons.note,
        html`<p>
          ${engine} lists what waits now, newest first, and may be a few seconds behind. It does not count, sort, find tags or list what was decided.
        </p>`,
      )}`;
}
