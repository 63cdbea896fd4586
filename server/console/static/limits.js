// The limits of the contract, read from the contract.

import { contractDocument } from './api.js';

/** @typedef {{[keyword: string]: any}} Schema */

/** @type {{[file: string]: any}} */
let documents = {};

/** Reads the documents. */
export async function loadLimits() {
  const [callback, waits] = await Promise.all([contractDocument('callback'), contractDocument('waits')]);
  documents = { 'callback.yaml': callback, 'waits.yaml': waits };
}

/**
 * The schema with a name, or of a property of it.
 * @param {string} name
 * @param {string} [property]
 * @returns {Schema}
 */
export function schema(name, property) {
  const file = Object.keys(documents).find((f) => documents[f].components.schemas[name]) ?? 'waits.yaml';
  return follow(file, property ? documents[file].components.schemas[name].properties[property] : documents[file].components.schemas[name]);
}

/** @param {string} file @param {Schema} found @returns {Schema} */
function follow(file, found) {
  if (!found.$ref) return found;
  const [to, path] = found.$ref.split('#/');
  const target = to || file;
  return follow(
    target,
    path.split('/').reduce((/** @type {any} */ part, /** @type {string} */ step) => part[step], documents[target]),
  );
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
