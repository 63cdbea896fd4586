// Calls the server's public API.

import { parse } from './json.js';
import { token } from './store.js';
import { learnClock } from './time.js';

/** @typedef {import('../browser/waits').components['schemas']} Schemas */
/** @typedef {Schemas['Wait']} Wait */
/** @typedef {Schemas['Status']} Status */
/** @typedef {Schemas['Order']} Order */
/** @typedef {Schemas['Link']} Link */
/** @typedef {Schemas['Principal']} Principal */
/** @typedef {Schemas['WaitCounts']} WaitCounts */
/** @typedef {{[name: string]: string | number | undefined}} Query */

/** The address of the server, whatever path it is served below. */
export const root = new URL('..', import.meta.url);

/** An error response of the server. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {{error_code?: string, error_msg?: string, request_id?: string}} body
   * @param {string | null} retryAfter
   */
  constructor(status, body, retryAfter) {
    super(body.error_msg ?? `The server answered ${status} without a reason.`);
    this.status = status;
    this.code = body.error_code ?? `HTTP ${status}`;
    this.requestId = body.request_id;
    this.retryAfter = Number(retryAfter) || 0; // seconds; some proxies send a date
  }
}

/** There was no answer of the server. It may have carried out the request. */
export class Unreachable extends Error {}

/** The browser cannot send this request, whatever the server would say. */
export class Unsendable extends Error {}

/**
 * @param {string} path
 * @param {{method?: string, headers?: {[name: string]: string}, body?: string, signal?: AbortSignal}} [options]
 */
async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (token()) headers['X-Auth-Token'] = headerValue(token(), 'The token');
  let answer, text;
  try {
    answer = await fetch(new URL(path, root), {
      ...options,
      headers,
      cache: 'no-cache',
      redirect: 'error',
    });
    text = await answer.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Unreachable('The server cannot be reached');
  }
  learnClock(answer.headers.get('Date'));
  if (answer.ok) {
    try {
      return text && parse(text);
    } catch {
      throw new Unreachable('Something on the way answers instead of the server');
    }
  }
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    // It is not from Flowcallback, but from a proxy on the way; the status is enough.
  }
  throw new Refusal(answer.status, body, answer.headers.get('Retry-After'));
}

/**
 * An id as a segment of a path. Browsers take the segments "." and ".." for directions, also if they
 * are encoded.
 * @param {string} text
 */
function id(text) {
  if (text === '.' || text === '..') throw new Unsendable(`The id “${text}” cannot be a part of an address.`);
  return encodeURIComponent(text);
}

/**
 * An id as a value of a header. Browsers refuse, trim or recode characters that are not visible
 * ASCII.
 * @param {string} text
 * @param {string} name
 */
function headerValue(text, name) {
  if (/^[!-~]([ -~]*[!-~])?$/.test(text)) return text;
  throw new Unsendable(`${name} has characters that a browser cannot send in a header.`);
}

/** @param {Query} query */
function search(query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
}

/** @param {string} project */
const waits = (project) => `v1/${id(project)}/waits`;

/** @param {Wait} wait */
const waitPath = (wait) => `${waits(wait.project_id)}/${id(wait.wait_id)}`;

const json = { 'Content-Type': 'application/json' };

/** @param {AbortSignal} [signal] @returns {Promise<Principal>} */
export const whoami = (signal) => call('v1/whoami', { signal });

/** @param {string} project @param {Query} query @param {AbortSignal} signal @returns {Promise<Schemas['WaitPage']>} */
export const list = (project, query, signal) => call(`${waits(project)}?${search(query)}`, { signal });

/** @param {string} project @param {Query} query @param {AbortSignal} signal @returns {Promise<WaitCounts>} */
export const count = (project, query, signal) => call(`${waits(project)}/count?${search(query)}`, { signal });

/** @param {string} project @param {Query} query @param {AbortSignal} signal @returns {Promise<Schemas['OutcomePage']>} */
export const outcomes = (project, query, signal) => call(`v1/${id(project)}/outcomes?${search(query)}`, { signal });

/** @param {string} project @param {string} waitId @param {Query} query @param {AbortSignal} [signal] @returns {Promise<Wait>} */
export const get = (project, waitId, query, signal) => call(`${waits(project)}/${id(waitId)}?${search(query)}`, { signal });

/** @param {Wait} wait @param {string} reason @returns {Promise<void>} */
export const cancel = (wait, reason) => call(`${waitPath(wait)}?${search({ reason })}`, { method: 'DELETE' });

/** @param {Wait} wait @param {number} seconds from now @returns {Promise<Wait>} */
export const moveDeadline = (wait, seconds) =>
  call(waitPath(wait), {
    method: 'PATCH',
    headers: json,
    body: JSON.stringify({ timeout_seconds: seconds }),
  });

/** @param {Wait} wait @param {AbortSignal} signal @returns {Promise<Link[]>} */
export const links = async (wait, signal) => (await call(`${waitPath(wait)}/links`, { signal })).links;

/** @param {Wait} wait @param {string} to @returns {Promise<Schemas['CreatedLink']>} */
export const createLink = (wait, to) =>
  call(`${waitPath(wait)}/links`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify(to ? { to } : {}),
  });

/** @param {Wait} wait @param {Link} link @returns {Promise<void>} */
export const withdrawLink = (wait, link) => call(`${waitPath(wait)}/links/${id(link.link_id)}`, { method: 'DELETE' });

/** @param {Wait} wait */
export const callbackPath = (wait) => `v2/${id(wait.project_id)}/fgs/workflows/${id(wait.workflow_id)}/callback`;

/** The headers that name the state of a wait. @param {Wait} wait */
export const stateHeaders = (wait) => ({
  'X-Workflow-Run-Id': headerValue(wait.run_id, 'Its run id'),
  'X-Workflow-State-Id': headerValue(wait.state_id, 'Its state id'),
});

/** Throws Unsendable if a browser cannot call the flow back, whatever it says. @param {Wait} wait */
export function checkSendable(wait) {
  callbackPath(wait);
  stateHeaders(wait);
}

/** Calls the flow back. The body is sent as it is. @param {Wait} wait @param {string} body @returns {Promise<{execution_id: string}>} */
export const callBack = async (wait, body) =>
  call(callbackPath(wait), {
    method: 'POST',
    headers: { ...json, ...stateHeaders(wait) },
    body,
  });

/** The contract of waits, with all that it shares with that of callbacks. @returns {Promise<any>} */
export const waitsDocument = () => call('openapi/waits.json');
