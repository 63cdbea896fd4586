// The rows of a list that are selected, to cancel several.

import { html, nothing } from './lit/lit-html.js';
import { cancelDialog, cancelling } from './cancel.js';
import { say } from './say.js';
import { counted } from './words.js';

/** @typedef {import('./api.js').Wait} Wait */

export class Selection {
  /**
   * @param {() => Wait[]} rows of the list
   * @param {{signal: AbortSignal, changed: () => void, update: (wait: Wait) => void}} owner
   */
  constructor(rows, owner) {
    this.rows = rows;
    this.owner = owner;
    /** @type {Set<string>} */
    this.ids = new Set();
    /** @type {ReturnType<typeof cancelling> | null} */
    this.cancels = null;
    this.told = ''; // what came of the last cancelling
    this.cancelReason = '';
  }

  /** The selected waits that still wait. */
  get chosen() {
    return this.rows().filter((wait) => wait.status === 'waiting' && this.ids.has(wait.wait_id));
  }

  /** @param {string} waitId */
  has(waitId) {
    return this.ids.has(waitId);
  }

  /** @param {string} waitId @param {boolean} on */
  pick(waitId, on) {
    if (on) this.ids.add(waitId);
    else this.ids.delete(waitId);
    this.#changed();
  }

  /** @param {boolean} on */
  pickAll(on) {
    this.ids = new Set(on ? this.rows().map((wait) => wait.wait_id) : []);
    this.#changed();
  }

  #changed() {
    say(`${this.chosen.length} selected`);
    this.owner.changed();
  }

  cancel() {
    const done = (/** @type {string} */ result) => {
      this.cancels = null;
      this.told = result;
      if (result) {
        this.ids.clear();
        this.cancelReason = '';
      }
      this.owner.changed();
    };
    this.cancels = cancelling(this.chosen, this, { ...this.owner, done });
    this.owner.changed();
  }

  /** The dialog that is open, or null. */
  dialog() {
    return this.cancels && cancelDialog(this.cancels);
  }

  /** What can be done with the selected waits. */
  bar() {
    const { length } = this.chosen;
    if (length === 0) return nothing;
    return html`<div class="bulk" role="group" aria-label="Selected waits">
      <p>${length} selected</p>
      <button type="button" class="button plain" @click=${() => this.pickAll(false)}>Clear</button>
      <button type="button" class="button reject" @click=${() => this.cancel()}>Cancel ${counted(length, 'wait', 'waits')}…</button>
    </div>`;
  }
}
