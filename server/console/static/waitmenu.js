// What else can be done with a wait: hand it over, move its deadline, cancel it.

import { html, nothing } from './lit/lit-html.js';
import { cancelDialog, cancelling } from './cancel.js';
import { deadlineDialog, moving } from './deadline.js';
import { handOverDialog, handingOver } from './handover.js';
import { me, offers } from './store.js';

/** @typedef {import('./api.js').Wait} Wait */
/** @typedef {{back: () => void, template: () => unknown}} Asking a question in the dialog */

/**
 * @typedef {object} Owner the page of the wait
 * @property {AbortSignal} signal
 * @property {() => void} changed
 * @property {(wait: Wait) => void} update shows the wait as it is now
 * @property {(asking: Asking) => void} put shows a question
 * @property {(asking: Asking) => void} close shows it no more
 */

/** Whether there is something in the menu. @param {Wait} wait */
export const hasMenu = (wait) => wait.status === 'waiting' && (offers('open') || offers('links'));

/** @param {import('./decision.js').Deciding} decision @param {Owner} owner */
export function menu(decision, { signal, changed, update, put, close }) {
  const { wait, draft } = decision;
  if (!hasMenu(wait)) return nothing;
  /** @param {(done: () => void) => Asking} make */
  const askWith = (make) => {
    const asking = make(() => close(asking)); // a late answer closes no other question
    put(asking);
  };
  const handOver = () =>
    askWith((done) => {
      const state = handingOver(wait, { signal, changed, done });
      return { back: done, template: () => handOverDialog(state) };
    });
  const move = () =>
    askWith((done) => {
      const state = moving(wait, { changed, update, done });
      return { back: done, template: () => deadlineDialog(state) };
    });
  const cancel = () =>
    askWith((done) => {
      const state = cancelling([wait], draft, {
        signal,
        changed,
        done,
        update: (after) => {
          decision.isOwnCancel = after.status === 'cancelled' && after.settled_by === me()?.name;
          if (decision.isOwnCancel) draft.cancelReason = '';
          update(after);
        },
      });
      return { back: state.back, template: () => cancelDialog(state) };
    });
  const item = (/** @type {string} */ word, /** @type {() => void} */ act, look = '') => {
    const press = () => {
      document.getElementById('more')?.hidePopover();
      act();
    };
    return html`<button type="button" class="item ${look}" @click=${press}>${word}</button>`;
  };
  return html`<div id="more" class="pop" popover>
    ${offers('links') ? item('Hand over…', handOver) : nothing}
    ${offers('open')
      ? html`${item('Move the deadline…', move)}
          <hr />
          ${item('Cancel this wait…', cancel, 'reject-item')}`
      : nothing}
  </div>`;
}
