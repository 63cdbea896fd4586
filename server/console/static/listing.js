// The rows of a list, read page by page. A search looks for its text in several ids at once, each with
// a list of its own; the rows are those lists in one order.

import { Refusal, get, list } from './api.js';
import { fits, schema } from './limits.js';
import { offers } from './store.js';

/** @typedef {import('./api.js').Wait} Wait */
/** @typedef {import('./api.js').Order} Order */
/** @typedef {import('./api.js').Status} Status */
/** @typedef {{status: Status | '', text: string, sort: Order}} Choice an empty status is all of them */
/** @typedef {{query: import('./api.js').Query, waitId?: string}} Source */

const pageSize = 50;
const shortestWaitId = 16; // ids of all engines are longer; a word is not asked for as one

/** Where a text is looked for. @param {string} text @returns {Source[]} */
export function sourcesOf(text) {
  if (!text) return [{ query: {} }];
  /** @type {[string, string][]} */
  const filters = [
    ['workflow_prefix', 'WorkflowId'],
    ['run_id', 'HeaderRunId'],
    ['state_id', 'HeaderStateId'],
  ];
  if (offers('count')) filters.push(['tag', 'Tag']); // an engine that does not count has no tags
  /** @type {Source[]} */
  const sources = filters.filter(([, name]) => fits(schema(name), text)).map(([filter]) => ({ query: { [filter]: text } }));
  if (text.length >= shortestWaitId && !/\s/.test(text) && fits(schema('WaitId'), text)) sources.push({ query: {}, waitId: text });
  return sources;
}

/** Whether a search finds a wait. @param {Wait} wait @param {Choice} choice */
export function matches(wait, { status, text }) {
  if (status && wait.status !== status) return false;
  return wait.workflow_id.startsWith(text) || [wait.run_id, wait.state_id, wait.wait_id, ...(wait.tags ?? [])].includes(text);
}

/** Answers that mean that a filter finds nothing: it is not offered, or there is no such wait. @param {unknown} error @returns {[]} */
function noMatch(error) {
  if (error instanceof Refusal && [404, 501].includes(error.status)) return [];
  throw error;
}

/** One list of the server, read ahead by a page. */
class Reader {
  /** @param {string} project @param {Source} source @param {Choice} choice */
  constructor(project, source, choice) {
    this.project = project;
    this.source = source;
    this.choice = choice;
    /** @type {Wait[]} */
    this.ahead = [];
    this.isDone = false;
    /** @type {string | undefined} */
    this.cursor = undefined;
  }

  /** @param {AbortSignal} signal @param {boolean} isOnly */
  async fill(signal, isOnly) {
    while (!this.isDone && this.ahead.length === 0) {
      this.ahead = await this.#read(signal).catch((error) => {
        if (isOnly) throw error;
        const none = noMatch(error);
        this.isDone = true;
        return none;
      });
    }
  }

  /** @param {AbortSignal} signal */
  async #read(signal) {
    const { status, sort } = this.choice;
    if (this.source.waitId !== undefined) {
      const wait = await get(this.project, this.source.waitId, {}, signal);
      this.isDone = true;
      return status && wait.status !== status ? [] : [wait];
    }
    const order = sort === 'newest' ? undefined : sort; // the default, and the only one of some engines
    const page = await list(
      this.project,
      {
        ...this.source.query,
        status,
        order,
        limit: pageSize,
        cursor: this.cursor,
      },
      signal,
    );
    this.isDone = page.next_cursor === undefined || page.next_cursor === this.cursor;
    this.cursor = page.next_cursor;
    return page.waits;
  }
}

/** @type {{[order in Order]: (a: Wait, b: Wait) => number}} */
const comparisons = {
  newest: (a, b) => Date.parse(b.created_at) - Date.parse(a.created_at),
  oldest: (a, b) => Date.parse(a.created_at) - Date.parse(b.created_at),
  deadline: (a, b) => Date.parse(a.expires_at) - Date.parse(b.expires_at),
};

export class Listing {
  /** @param {string} project @param {Choice} choice */
  constructor(project, choice) {
    this.choice = choice;
    /** @type {Wait[]} */
    this.rows = [];
    /** @type {Map<string, number>} */
    this.places = new Map(); // of wait ids in rows
    this.readers = sourcesOf(choice.text).map((source) => new Reader(project, source, choice));
  }

  get isDone() {
    return this.readers.every((reader) => reader.isDone && reader.ahead.length === 0);
  }

  /** Reads the next page. @param {AbortSignal} signal */
  async more(signal) {
    const compare = comparisons[this.choice.sort];
    for (const end = this.rows.length + pageSize; this.rows.length < end && !this.isDone; ) {
      await Promise.all(this.readers.map((reader) => reader.fill(signal, this.readers.length === 1)));
      const full = this.readers.filter((reader) => reader.ahead.length > 0);
      if (full.length === 0) continue;
      const first = full.reduce((a, b) => (compare(b.ahead[0], a.ahead[0]) < 0 ? b : a));
      this.#add(/** @type {Wait} */ (first.ahead.shift()));
    }
  }

  /** @param {Wait} wait */
  #add(wait) {
    if (this.places.has(wait.wait_id)) return;
    this.places.set(wait.wait_id, this.rows.length);
    this.rows.push(wait);
  }

  /** @param {string} waitId */
  has(waitId) {
    return this.places.has(waitId);
  }

  /** Changes a row in its place, and returns whether there is one. @param {Wait} wait */
  replace(wait) {
    for (const { ahead } of this.readers) {
      const at = ahead.findIndex((one) => one.wait_id === wait.wait_id);
      if (at >= 0 && wait.status !== 'waiting') ahead[at] = wait;
    }
    const place = this.places.get(wait.wait_id);
    if (place === undefined) return false;
    const isOlder = wait.status === 'waiting' && this.rows[place].status !== 'waiting'; // a status changes once
    if (!isOlder) this.rows[place] = wait;
    return true;
  }
}
