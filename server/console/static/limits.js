// The limits of the contract, read from the contract.

import { waitsDocument } from './api.js';

/** @typedef {{[keyword: string]: any}} Schema */

/** @type {any} */
let contract;

/** Reads the contract. */
export async function loadLimits() {
  contract = await waitsDocument();
}

/**
 * The schema with a name, or of a property of it.
 * @param {string} name
 * @param {string} [property]
 * @returns {Schema}
 */
export function schema(name, property) {
  const whole = contract.components.schemas[name];
  return follow(property ? whole.properties[property] : whole);
}

/** @param {Schema} found @returns {Schema} */
function follow({ $ref, ...found }) {
  if (!$ref) return found;
  const path = $ref.slice('#/'.length).split('/');
  return follow(path.reduce((/** @type {any} */ part, /** @type {string} */ step) => part[step], contract));
}

/** The number of characters, as contracts count them: code points. @param {string} text */
export const lengthOf = (text) => [...text].length;

/** Whether a text is valid for a schema of strings. @param {Schema} limits @param {string} text */
export function fits(limits, text) {
  const length = lengthOf(text);
  return (
    length >= (limits.minLength ?? 0) && length <= (limits.maxLength ?? Infinity) && (!limits.pattern || new RegExp(limits.pattern, 'u').test(text))
  );
}
