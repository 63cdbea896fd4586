// Asks the server again and again: after each answer, and later after each failure.

import { Refusal, Unreachable } from './api.js';
import { now } from './time.js';

const longest = 25; // seconds of a long-poll; some load balancers give up after 30
const hiddenPause = 60_000; // between questions of a tab that nobody sees
const busyPause = 1000; // after an answer that had something
const mostPause = 30_000; // after failures

/** @typedef {{error: Error, since: number, next: number}} Failing */

/** Seconds until the next try. @param {Failing} failing */
export const secondsTo = ({ next }) => Math.max(0, Math.ceil((next - now()) / 1000));

/** Whether the failures of a request are worth another try. @param {unknown} error */
export const isTransient = (error) =>
  error instanceof Unreachable || (error instanceof Refusal && (error.status >= 502 || [408, 429, 500].includes(error.status)));

/** Blocks for a time, or until the signal aborts. @param {number} milliseconds @param {AbortSignal} signal */
export const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve(undefined);
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end);
  });

/** What a view knows of its connection to the server: whether requests fail, and since when. */
export class Connection {
  /** @param {() => void} changed is called when that changes */
  constructor(changed) {
    this.changed = changed;
    /** @type {Failing | null} */
    this.failing = null;
    this.lastAnswer = now();
    /** @type {Set<() => void>} */
    this.sleeping = new Set();
  }

  /** Ends all pauses. */
  tryNow() {
    for (const wake of this.sleeping) wake();
  }

  /**
   * Calls ask until it succeeds, with growing pauses, and returns its answer. It throws errors that are not
   * transient, and what the signal's abort causes.
   * @template Answer
   * @param {() => Promise<Answer>} ask
   * @param {AbortSignal} signal
   */
  async persist(ask, signal) {
    for (let wait = 1000; ; wait = Math.min(mostPause, 2 * wait)) {
      try {
        const answer = await ask();
        this.lastAnswer = now();
        this.#set(null);
        return answer;
      } catch (error) {
        if (signal.aborted || !isTransient(error)) throw error;
        if (error instanceof Refusal) wait = Math.min(mostPause, Math.max(wait, error.retryAfter * 1000));
        this.#set({
          error: /** @type {Error} */ (error),
          since: this.failing?.since ?? this.lastAnswer,
          next: now() + wait,
        });
        await this.#sleep(wait, signal);
        signal.throwIfAborted();
      }
    }
  }

  /**
   * Asks again and again until the signal aborts.
   * @param {(seconds: number) => Promise<boolean>} ask gets how long the server may hold its answer, and returns whether it had something
   * @param {AbortSignal} signal
   */
  async follow(ask, signal) {
    while (!signal.aborted) {
      const isHidden = document.hidden;
      const had = await this.persist(() => ask(document.hidden || this.failing ? 0 : longest), signal);
      if (isHidden && document.hidden) await this.#sleep(hiddenPause, signal);
      else if (had) await this.#sleep(busyPause, signal);
    }
  }

  /** @param {Failing | null} failing */
  #set(failing) {
    if (failing === this.failing) return;
    this.failing = failing;
    this.changed();
  }

  /**
   * Blocks for a time, or until the tab is seen, the network is back or somebody asks for it.
   * @param {number} milliseconds
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   */
  #sleep(milliseconds, signal) {
    return new Promise((resolve) => {
      const done = new AbortController();
      const wake = () => {
        this.sleeping.delete(wake);
        clearTimeout(timer);
        done.abort();
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      this.sleeping.add(wake);
      signal.addEventListener('abort', wake, { signal: done.signal });
      addEventListener('online', wake, { signal: done.signal });
      document.addEventListener('visibilitychange', () => document.hidden || wake(), { signal: done.signal });
    });
  }
}
