// Addresses of the console, and which view shows one: /console/{project}/{wait_id}?status=…

import { root } from './api.js';
import { showDialog } from './dialog.js';

/** @typedef {{project: string, wait: string, query: URLSearchParams}} Place */
/** @typedef {(place: Place, signal: AbortSignal) => void} View */

const base = new URL('console/', root);

/** @type {View} */
let view = () => {};
let leaving = new AbortController();
let shown = ''; // the address, without what is within the page
let isStarted = false;

/**
 * The address of a place.
 * @param {string} project
 * @param {string} [wait]
 * @param {{[name: string]: string}} [query]
 */
export function address(project, wait = '', query = {}) {
  const path = encodeURIComponent(project) + (wait && `/${encodeURIComponent(wait)}`);
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return base.pathname + path + (given && `?${given}`);
}

/** Whether an id can be a part of an address: browsers take the others for directions. @param {string} id */
export const isAddressable = (id) => id !== '.' && id !== '..';

/** Where the console is. @returns {Place} */
export function here() {
  const query = new URLSearchParams(location.search);
  const [project, wait] = location.pathname.slice(base.pathname.length).split('/').map(decoded);
  return {
    project: project || (query.get('project') ?? ''),
    wait: wait ?? '',
    query,
  };
}

/** @param {string} segment */
function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/**
 * Goes to an address. What the view before was waiting for is aborted.
 * @param {string} to
 * @param {{replace?: boolean}} [options]
 */
export function go(to, { replace = false } = {}) {
  if (!isStarted)
    location.assign(to); // from another page, such as that of the API
  else if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  if (isStarted) show();
}

/** Shows the present address afresh. */
export function show() {
  shown = location.pathname + location.search;
  leaving.abort();
  leaving = new AbortController();
  showDialog(null);
  /** @type {NodeListOf<HTMLElement>} */
  const menus = document.querySelectorAll('[popover]:popover-open');
  for (const menu of menus) menu.hidePopover();
  view(here(), leaving.signal);
}

/** Starts to show addresses. @param {View} chosen */
export function start(chosen) {
  view = chosen;
  isStarted = true;
  history.scrollRestoration = 'manual';
  addEventListener('popstate', () => shown === location.pathname + location.search || show());
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    const other = event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
    if (link?.getAttribute('href')?.startsWith('#')) return; // within the page
    if (!link || other || link.target || link.origin !== location.origin || !link.pathname.startsWith(base.pathname)) return;
    event.preventDefault();
    go(link.href);
  });
  show();
}
