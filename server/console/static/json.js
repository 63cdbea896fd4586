// JSON whose numbers keep their digits: JavaScript's own numbers lose those beyond 2^53.

/** A number that JavaScript would write differently, such as 1.0 or 12345678901234567890. */
export class Exact {
  /** @param {string} source */
  constructor(source) {
    this.source = source;
  }

  toString() {
    return this.source;
  }
}

const jsonWithSource = /** @type {any} */ (JSON);

/** Whether this browser tells how a number was written. If not, numbers are rounded. */
export const keepsDigits = typeof jsonWithSource.rawJSON === 'function';

/**
 * Parses JSON. Numbers that JavaScript would change are of class Exact.
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  return jsonWithSource.parse(text, (/** @type {string} */ _, /** @type {unknown} */ value, /** @type {{source?: string}} */ context) => {
    const source = context?.source;
    return typeof value === 'number' && source !== undefined && source !== String(value) ? new Exact(source) : value;
  });
}

/**
 * Writes what parse returned, with the digits as they were.
 * @param {unknown} value
 * @param {number} [indent]
 */
export function stringify(value, indent) {
  return JSON.stringify(value, (_, v) => (v instanceof Exact ? jsonWithSource.rawJSON(v.source) : v), indent);
}
