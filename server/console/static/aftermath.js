// What a page tells after a wait was decided: to whom it was handed over, and which wait is next.

import { links, list } from './api.js';
import { address } from './router.js';
import { offers } from './store.js';

/** @typedef {import('./api.js').Wait} Wait */
/** @typedef {{links: import('./api.js').Link[], next: string}} Aftermath next is the address of another wait, or empty */

/** @param {Wait} wait @param {AbortSignal} signal @returns {Promise<Aftermath>} */
export async function aftermathOf(wait, signal) {
  const query = { status: 'waiting', order: offers('count') ? 'deadline' : undefined, limit: 2 };
  const [made, waiting] = await Promise.all([
    offers('links') ? links(wait, signal).catch(() => []) : [],
    list(wait.project_id, query, signal).then(
      (page) => page.waits,
      () => [],
    ),
  ]);
  const next = waiting.find((other) => other.wait_id !== wait.wait_id);
  return { links: made, next: next ? address(next.project_id, next.wait_id) : '' };
}
