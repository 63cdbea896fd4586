// The status of a wait, who decided it, and how much time is left.

import { html, nothing } from './lit/lit-html.js';
import * as icons from './icons.js';
import { level, now, span } from './time.js';

/** @typedef {import('./api.js').Wait} Wait */
/** @typedef {import('./api.js').Status} Status */

/** The statuses in the order of their tabs, with the words for people. @type {{[status in Status]: {word: string, icon: unknown, look: string}}} */
export const statuses = {
  waiting: { word: 'Waiting', icon: icons.waiting, look: 'waiting' },
  success: { word: 'Approved', icon: icons.approved, look: 'approved' },
  fail: { word: 'Rejected', icon: icons.rejected, look: 'rejected' },
  expired: { word: 'Expired', icon: icons.clock, look: 'expired' },
  cancelled: { word: 'Cancelled', icon: icons.cancelled, look: 'cancelled' },
};

/** @param {Status} status */
export function badge(status) {
  const { word, icon, look } = statuses[status];
  return html`<span class="badge ${look}">${icon}${word}</span>`;
}

/** The question of a wait; its state if it has none. @param {Wait} wait */
export const question = (wait) => wait.title ?? wait.state_id;

/**
 * A principal for people. Who decided by a link is recorded as "link:" and a name, or "link:#" and an id.
 * @param {string | undefined} principal
 */
export function who(principal) {
  if (!principal) return 'somebody';
  if (principal.startsWith('link:#')) return `the holder of link ${principal.slice(6)}`;
  return principal.startsWith('link:') ? `${principal.slice(5)}, by link` : principal;
}

/** Milliseconds until the deadline, at least 0. @param {Wait} wait */
export const leftOf = (wait) => Math.max(0, Date.parse(wait.expires_at) - now());

/** Milliseconds from the opening to the deadline. @param {Wait} wait */
export const wholeOf = (wait) => Date.parse(wait.expires_at) - Date.parse(wait.created_at);

/** Whether a wait has a deadline. An engine that has none shows the last day that a time can have. @param {Wait} wait */
export const hasDeadline = (wait) => !wait.expires_at.startsWith('9999-');

/** The time left, which stands out near the deadline. @param {Wait} wait @param {unknown} suffix */
export function timeLeft(wait, suffix) {
  if (!hasDeadline(wait)) return html`<span class="left">no deadline</span>`;
  const left = leftOf(wait);
  const look = level(left, wholeOf(wait));
  const icon = { urgent: icons.alarm, soon: icons.clock, '': nothing }[look];
  return html`<span class="left ${look}">${icon}${left > 0 ? span(left) : 'no time'}${suffix}</span>`;
}

/** An id that loses its middle on the screen if it is long; the whole text stays in the page. @param {string} text */
export function shortId(text) {
  const characters = [...text];
  if (characters.length <= 18) return html`<span class="id">${text}</span>`;
  return html`<span class="id" title=${text}><span>${characters.slice(0, -6).join('')}</span><span>${characters.slice(-6).join('')}</span></span>`;
}
