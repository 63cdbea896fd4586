// How many waits each status has, for the tabs and the title.

import { count } from './api.js';
import { isTransient, pause } from './follow.js';
import { sourcesOf } from './listing.js';
import { offers } from './store.js';

/** @typedef {import('./api.js').Status} Status */
/** @typedef {{waits: number, more: boolean}} Count */

/**
 * How many waits each status has, of those that a text finds. null: it finds some in several ways, and
 * the server cannot say how many are the same.
 * @param {string} project @param {string} text @param {AbortSignal} signal
 * @returns {Promise<{[status in Status]: Count} | null>}
 */
async function counts(project, text, signal) {
  const sources = sourcesOf(text);
  const counted = sources.filter((source) => source.waitId === undefined);
  const all = await Promise.all(counted.map((source) => count(project, source.query, signal)));
  const found = all.filter((one) => Object.values(one).some(({ waits }) => waits > 0));
  if (found.length > 1 || (found.length === 0 && counted.length < sources.length)) return null;
  return found[0] ?? all[0] ?? null;
}

const least = 1000; // milliseconds between two counts
const most = 30_000; // after failures

export class Counts {
  /** @param {string} project @param {string} text of a search @param {() => void} changed */
  constructor(project, text, changed) {
    this.project = project;
    this.text = text;
    this.changed = changed;
    /** @type {Awaited<ReturnType<typeof counts>> | undefined} */
    this.found = undefined; // of the search; undefined before they are known
    /** @type {Awaited<ReturnType<typeof counts>> | undefined} */
    this.all = undefined; // of the project
    this.isAsked = false;
    /** @type {AbortSignal | undefined} */
    this.counting = undefined; // the view for which it counts
  }

  /** Counts, once at a time; once more if it is asked meanwhile. @param {AbortSignal} signal */
  async ask(signal) {
    this.isAsked = true;
    if (!offers('count') || this.counting === signal) return;
    this.counting = signal;
    for (let wait = least; this.isAsked && !signal.aborted; ) {
      this.isAsked = false;
      await this.#count(signal).then(
        () => (wait = least),
        (error) => {
          this.isAsked = isTransient(error); // the numbers stay as they were; other requests say what is wrong
          wait = Math.min(most, 2 * wait);
        },
      );
      await pause(wait, signal);
    }
    if (this.counting === signal) this.counting = undefined;
  }

  /** @param {AbortSignal} signal */
  async #count(signal) {
    const [all, found] = await Promise.all([counts(this.project, '', signal), this.text ? counts(this.project, this.text, signal) : undefined]);
    this.all = all;
    this.found = this.text ? found : all;
    this.changed();
  }
}
