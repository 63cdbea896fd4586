// A list that stays up to date: it follows the waits that are opened and those that leave
// waiting, and asks for nothing else.

import { Refusal, get, list, outcomes } from './api.js';
import { Counts } from './counts.js';
import { Connection, pause } from './follow.js';
import { Listing, matches } from './listing.js';
import { leftOf } from './status.js';
import { offers } from './store.js';

/** @typedef {import('./api.js').Wait} Wait */
/** @typedef {import('./listing.js').Choice} Choice */

const followed = 100; // waits in an answer; more at once are not shown one by one
const unfollowed = 30_000; // milliseconds between questions to an engine that cannot be followed

export class LiveList {
  /** @param {string} project @param {Choice} choice @param {() => void} changed */
  constructor(project, choice, changed) {
    this.project = project;
    this.choice = choice;
    this.changed = changed;
    this.connection = new Connection(() => this.changed());
    this.listing = new Listing(project, choice);
    this.counts = new Counts(project, choice.text, () => this.changed());
    /** @type {Set<string>} */
    this.news = new Set(); // waits that belong to the list and are not shown
    this.isStale = false; // more has changed than was followed
    this.isLoading = false;
    this.wasRead = false;
    /** @type {{opened: string | undefined, settled: string | undefined} | undefined} */
    this.cursors = undefined;
    /** @type {Set<Wait[]>} */
    this.reads = new Set(); // what was followed during each read that is under way
  }

  /** Keeps the list up to date until the signal aborts, or an error ends it. @param {AbortSignal} signal */
  async run(signal) {
    const isFollowed = offers('feed');
    if (isFollowed) this.cursors ??= await this.connection.persist(() => this.#begin(signal), signal);
    if (!this.wasRead) {
      await this.connection.persist(() => this.listing.more(signal), signal);
      this.wasRead = true;
      this.changed();
    }
    this.counts.ask(signal);
    const tasks = isFollowed ? [this.#followOpened(signal), this.#followSettled(signal)] : [this.#reread(signal)];
    await Promise.all([this.#watchDeadlines(signal), ...tasks]);
  }

  /** Returns the cursors of what will change from now on. @param {AbortSignal} signal */
  async #begin(signal) {
    const [opened, settled] = await Promise.all([this.#opened('now', 0, signal), outcomes(this.project, { after: 'now', limit: 1 }, signal)]);
    return { opened: opened.next_cursor ?? '', settled: settled.next };
  }

  /** Reads the next page. @param {AbortSignal} signal */
  async more(signal) {
    if (this.isLoading || !this.wasRead || this.listing.isDone) return;
    this.isLoading = true;
    try {
      const during = await this.#reading(() => this.connection.persist(() => this.listing.more(signal), signal));
      for (const wait of during) this.listing.replace(wait);
      for (const { wait_id: id } of this.listing.rows) this.news.delete(id);
    } finally {
      this.isLoading = false;
    }
    this.changed();
  }

  /** Reads the list again from its beginning, once it is known what follows it, and shows it when it has come. @param {AbortSignal} signal */
  async reload(signal) {
    while (this.cursors && (this.cursors.opened === undefined || this.cursors.settled === undefined)) await pause(100, signal);
    signal.throwIfAborted();
    const fresh = new Listing(this.project, this.choice);
    const wasStale = this.isStale;
    this.isStale = false; // unless more is lost during the read
    const during = await this.#reading(() => fresh.more(signal)).catch((error) => {
      this.isStale ||= wasStale;
      throw error;
    });
    this.listing = fresh;
    this.news.clear();
    for (const wait of during) this.#show(wait);
    this.changed();
  }

  /** Reads, and returns the waits that were followed meanwhile, which the answer may not have. @param {() => Promise<void>} read */
  async #reading(read) {
    /** @type {Wait[]} */
    const during = [];
    this.reads.add(during);
    try {
      await read();
    } finally {
      this.reads.delete(during);
    }
    return during;
  }

  /** @param {string} cursor @param {number} seconds @param {AbortSignal} signal */
  #opened(cursor, seconds, signal) {
    return list(this.project, { order: 'oldest', cursor, wait_seconds: seconds, limit: followed }, signal);
  }

  /** @param {AbortSignal} signal */
  #followOpened(signal) {
    return this.connection.follow(async (seconds) => {
      const isLost = this.cursors?.opened === undefined;
      const page = await this.#opened(this.cursors?.opened ?? 'now', isLost ? 0 : seconds, signal).catch((error) => this.#missed(error, isLost));
      return this.#take(page?.waits ?? [], 'opened', page?.next_cursor, isLost, signal);
    }, signal);
  }

  /** @param {AbortSignal} signal */
  #followSettled(signal) {
    return this.connection.follow(async (seconds) => {
      const isLost = this.cursors?.settled === undefined;
      const query = { after: this.cursors?.settled ?? 'now', wait_seconds: isLost ? 0 : seconds, limit: followed };
      const page = await outcomes(this.project, query, signal).catch((error) => this.#missed(error, isLost));
      return this.#take(page?.outcomes ?? [], 'settled', page?.next, isLost, signal);
    }, signal);
  }

  /** The server does not know a cursor any more: it may have another history, to which the other cursor does not belong either. @param {unknown} error @param {boolean} wasLost @returns {undefined} */
  #missed(error, wasLost) {
    if (wasLost || !(error instanceof Refusal) || ![400, 409, 410].includes(error.status)) throw error;
    this.cursors = { opened: undefined, settled: undefined };
  }

  /**
   * Shows what was followed. Too much at once is skipped, which the page says, as when a cursor was lost: the next cursor
   * is then that of now, and only after it came can the list be read again without a gap.
   * @param {Wait[]} waits @param {'opened' | 'settled'} kind
   * @param {string | undefined} cursor the next one, if there is one
   * @param {boolean} wasLost the cursor of the question
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} whether to pause before the next question
   */
  async #take(waits, kind, cursor, wasLost, signal) {
    if (cursor === undefined) return true;
    const isMany = waits.length === followed;
    if (this.cursors) this.cursors[kind] = isMany ? undefined : cursor;
    for (const wait of waits) this.#show(wait);
    if (isMany) return false;
    if (wasLost) this.isStale = true;
    if (waits.length === 0 && !wasLost) return false;
    if (this.listing.rows.length === 0 && (this.news.size > 0 || this.isStale)) await this.reload(signal);
    this.counts.ask(signal);
    this.changed();
    return true;
  }

  /** @param {Wait} wait */
  #show(wait) {
    for (const during of this.reads) during.push(wait);
    if (this.listing.replace(wait)) return;
    const isNew = wait.status === 'waiting' || this.choice.status !== ''; // an old one that was settled is none for the list of all
    if (isNew && matches(wait, this.choice)) this.news.add(wait.wait_id);
    else this.news.delete(wait.wait_id);
  }

  /** Shows a wait as it is now, if it is in the list. @param {Wait} wait */
  update(wait) {
    this.#show(wait);
    this.changed();
  }

  /** Asks for waits whose time is over, as far as the page knows: somebody may have moved their deadlines. @param {AbortSignal} signal */
  async #watchDeadlines(signal) {
    /** @type {Set<string>} */
    const asked = new Set();
    while (!signal.aborted) {
      await pause(5000, signal);
      const over = this.listing.rows.find((wait) => wait.status === 'waiting' && leftOf(wait) === 0 && !asked.has(wait.wait_id + wait.expires_at));
      if (!over || signal.aborted || this.connection.failing) continue;
      asked.add(over.wait_id + over.expires_at);
      await get(this.project, over.wait_id, {}, signal).then(
        (wait) => this.update(wait),
        () => {},
      );
    }
  }

  /** Reads the list again now and then, if it is short: further down that would take away what is being read. @param {AbortSignal} signal */
  async #reread(signal) {
    while (!signal.aborted) {
      await pause(unfollowed, signal);
      if (!document.hidden && !signal.aborted && this.listing.rows.length <= 50) await this.connection.persist(() => this.reload(signal), signal);
    }
  }
}
