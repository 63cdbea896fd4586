// The list of waits: which one, what is selected, how far it is scrolled.

import { html, nothing, render } from './lit/lit-html.js';
import { failed } from './blank.js';
import { showDialog } from './dialog.js';
import { secondsTo } from './follow.js';
import { drawFrame } from './frame.js';
import { listKeys } from './keys.js';
import { empty, foot, head, noMatch, notices, tabs, titleOf } from './listparts.js';
import { LiveList } from './livelist.js';
import { address, go } from './router.js';
import { loading, table } from './rows.js';
import { Selection } from './selection.js';
import { leave } from './session.js';
import { statuses } from './status.js';
import { offers } from './store.js';
import { now } from './time.js';
import { counted } from './words.js';

/** @typedef {import('./api.js').Status} Status */
/** @typedef {import('./listing.js').Choice} Choice */
/** @typedef {import('./router.js').Place} Place */

const main = /** @type {HTMLElement} */ (document.getElementById('main'));
const slow = 10_000; // milliseconds after which loading is said to take long
const near = 800; // pixels from the end of the list at which the next page is read

/** The last list, for the way back to it. @type {{key: string, list: LiveList, top: number, opened: string} | undefined} */
let kept;

/** @param {Place} place @returns {Choice} */
function choiceOf({ query }) {
  const text = query.get('q') ?? '';
  const named = query.get('status') ?? (text ? 'all' : 'waiting');
  const status = Object.hasOwn(statuses, named) && offers('count') ? /** @type {Status} */ (named) : '';
  const usual = status === 'waiting' && offers('count') ? 'deadline' : 'newest';
  const sort = query.get('sort') ?? '';
  return {
    text,
    status,
    sort: offers('count') && (sort === 'deadline' || sort === 'newest' || sort === 'oldest') ? sort : usual,
  };
}

/** The address of the last list of a project. @param {string} project */
export const lastAddress = (project) => (kept?.list.project === project ? kept.key : address(project));

/** @param {Place} place @param {AbortSignal} signal */
export function showList(place, signal) {
  const { project } = place;
  const choice = choiceOf(place);
  const key = location.pathname + location.search;
  const before = kept?.key === key ? kept : undefined;
  const started = now();
  /** @type {unknown} */
  let problem = null;
  const list = before?.list ?? new LiveList(project, choice, () => {});
  list.changed = () => signal.aborted || draw();
  kept = { key, list, top: before?.top ?? 0, opened: before?.opened ?? '' };

  /** @param {{[name: string]: string}} change */
  const to = (change) => {
    const query = {
      status: place.query.get('status') ?? '',
      q: choice.text,
      sort: place.query.get('sort') ?? '',
      ...change,
    };
    return address(project, '', query);
  };
  const selection = new Selection(() => list.listing.rows, { signal, changed: draw, update: (wait) => list.update(wait) });
  const picking = offers('open') ? selection : null;

  const showNews = () => list.connection.persist(() => list.reload(signal), signal).catch(stop);
  const tryNow = () => list.connection.tryNow();

  /** @param {unknown} error */
  function stop(error) {
    if (signal.aborted || leave(error)) return;
    problem = error;
    draw();
  }

  /** @returns {unknown} */
  function body() {
    const { rows } = list.listing;
    if (problem || (list.connection.failing && !list.wasRead)) {
      const failing = list.connection.failing;
      const seconds = failing && !problem ? secondsTo(failing) : undefined;
      return failed(problem ?? failing?.error, {
        project,
        seconds,
        retry: problem ? () => go(key, { replace: true }) : tryNow,
        level: 2,
      });
    }
    if (!list.wasRead) {
      if (now() - started < 200) return nothing;
      return html`<p class="unseen" role="status">Loading waits</p>
        ${loading()}${now() - started > slow ? html`<p class="foot">This takes longer than usual.</p>` : nothing}`;
    }
    if (rows.length === 0) return choice.text ? noMatch(project, choice) : empty(choice);
    return html`${table(list.listing, picking)}${foot(list, picking !== null && choice.status === 'waiting')}${picking?.bar()}`;
  }

  function draw() {
    document.title = titleOf(list);
    main.className = 'page';
    const failing = list.connection.failing;
    drawFrame({ project, live: failing || problem ? 'off' : offers('feed') && list.wasRead ? 'live' : '' });
    const news = list.isStale ? 'Much has changed' : list.news.size ? counted(list.news.size, 'new wait', 'new waits') : '';
    render(
      html`${notices(list, selection.told)}${head(list, to, signal)}${tabs(list, to)}
      ${news && list.wasRead
        ? html`<p class="news" role="status">
            ${news}
            <button type="button" class="link" @click=${showNews}>Show</button>
          </p>`
        : nothing}${body()}`,
      main,
    );
    showDialog(selection.dialog(), () => selection.cancels?.back());
    nearEnd();
  }

  function nearEnd() {
    const rest = document.documentElement.scrollHeight - scrollY - innerHeight;
    if (rest < near && !list.isLoading && !problem && !signal.aborted) list.more(signal).catch(stop);
  }

  draw();
  const field = /** @type {HTMLInputElement | null} */ (main.querySelector('#q'));
  if (field && document.activeElement !== field) field.value = choice.text;
  list.run(signal).catch(stop);
  scrollTo(0, before?.top ?? 0);
  if (before?.opened)
    /** @type {HTMLElement | null} */ (main.querySelector(`[data-id="${CSS.escape(before.opened)}"] .q`))?.focus({ preventScroll: true });
  const ticker = setInterval(() => document.hidden || draw(), 1000);
  signal.addEventListener('abort', () => clearInterval(ticker));
  addEventListener(
    'scroll',
    () => {
      if (kept?.list === list) kept.top = scrollY;
      nearEnd();
    },
    { signal, passive: true },
  );
  main.addEventListener(
    'click',
    (event) => {
      const row = event.target instanceof Element ? event.target.closest('a.q')?.closest('tr') : null;
      if (row && kept?.list === list) Object.assign(kept, { opened: row.dataset.id ?? '', top: scrollY });
    },
    { signal, capture: true },
  );
  listKeys(main, signal, (id) => picking?.pick(id, !picking.has(id)));
}
