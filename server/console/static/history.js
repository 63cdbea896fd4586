// What a page tells of a wait that was decided: to whom it was handed over, and which wait is next.

import { links, list } from './api.js';
import { lastRows } from './list.js';
import { address } from './router.js';
import { offers } from './store.js';

/** @typedef {import('./api.js').Wait} Wait */
/** @typedef {{links: import('./api.js').Link[], next: string}} History next is the address of another wait, or empty */

/** @param {Wait} wait @param {AbortSignal} signal @returns {Promise<History>} */
export async function historyOf(wait, signal) {
  /** @param {Wait} other */
  const isOther = (other) => other.status === 'waiting' && other.project_id === wait.project_id && other.wait_id !== wait.wait_id;
  const query = { status: 'waiting', order: offers('count') ? 'deadline' : undefined, limit: 2 };
  const read = () => list(wait.project_id, query, signal).then((page) => page.waits);
  const [made, waiting] = await Promise.all([
    offers('links') ? links(wait, signal).catch(() => []) : [],
    lastRows().some(isOther) ? lastRows() : read().catch(() => []),
  ]);
  const next = waiting.find(isOther);
  return { links: made, next: next ? address(next.project_id, next.wait_id) : '' };
}
