// The form that a schema asks for: its fields, what is wrong with what was typed, and the output
// that it makes.

import { stringify } from './json.js';
import { findError, findObjectError } from './jsonerror.js';
import { lengthOf, schema } from './limits.js';
import { fails } from './pattern.js';
import { counted, readable } from './words.js';

/** @typedef {import('./limits.js').Schema} Schema */
/** @typedef {'text' | 'area' | 'number' | 'yesno' | 'choice' | 'date' | 'instant' | 'lines' | 'json'} Kind */
/** @typedef {{name: string, label: string, help: string, isRequired: boolean, kind: Kind, schema: Schema}} Field */

const longLine = 80; // characters that fit in a field of one line

/** The fields of a schema of an object. @param {Schema} schema @returns {Field[]} */
export function fieldsOf(schema) {
  const required = /** @type {string[]} */ (schema.required ?? []);
  const properties = Object.entries(/** @type {{[name: string]: Schema}} */ (schema.properties ?? {}));
  const others = required.filter((name) => !properties.some(([known]) => known === name));
  const all = [...properties, ...others.map((name) => /** @type {[string, Schema]} */ ([name, {}]))];
  return all.map(([name, s]) => ({
    name,
    label: s.title ?? readable(name),
    help: s.description ?? '',
    isRequired: required.includes(name),
    kind: kindOf(s),
    schema: s,
  }));
}

/** @param {Schema} schema @returns {Kind} */
function kindOf(schema) {
  const { type, format, items } = schema;
  if (schema.enum && type !== 'object' && type !== 'array') return 'choice';
  if (type === 'boolean') return 'yesno';
  if (type === 'number' || type === 'integer') return 'number';
  if (type === 'array' && items?.type === 'string' && !items.format) return 'lines';
  if (type !== 'string') return 'json';
  if (format === 'date') return 'date';
  if (format === 'date-time') return 'instant';
  return (schema.maxLength ?? Infinity) > longLine ? 'area' : 'text';
}

/** The entries of a list, one on each line. @param {string} text */
const linesOf = (text) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

/** @param {Schema} schema @param {string} text */
function textError({ minLength = 0, maxLength = Infinity, pattern, enum: allowed }, text) {
  const length = lengthOf(text);
  if (length < minLength) return `Must have at least ${counted(minLength, 'character', 'characters')}`;
  if (length > maxLength) return `${counted(length - maxLength, 'character', 'characters')} too many`;
  if (allowed && !allowed.includes(text)) return `Must be one of ${allowed.join(', ')}`;
  if (pattern && fails(pattern, text)) return `Not in the form asked for: ${pattern}`;
  return '';
}

/** @param {Schema} schema @param {string} text */
function numberError({ type, minimum = -Infinity, maximum = Infinity }, text) {
  if (!/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(text)) return 'Must be a number, such as 12.5';
  const value = Number(text);
  if (type === 'integer' && !Number.isInteger(value)) return 'Must be a whole number';
  if (value < Number(minimum)) return `Must be at least ${minimum}`;
  if (value > Number(maximum)) return `Must be at most ${maximum}`;
  return '';
}

/** @param {Schema} schema @param {string} text */
function linesError({ minItems = 0, maxItems = Infinity, items }, text) {
  const lines = linesOf(text);
  if (lines.length < minItems) return `Needs at least ${counted(minItems, 'entry', 'entries')}`;
  if (lines.length > maxItems) return `${counted(lines.length - maxItems, 'entry', 'entries')} too many`;
  const wrong = lines.findIndex((line) => textError(items, line));
  return wrong < 0 ? '' : `Entry ${wrong + 1}: ${textError(items, lines[wrong])}`;
}

/** @param {Schema} schema @param {string} text */
function jsonError({ type }, text) {
  const levels = schema('AnyOutput')['x-max-depth'] - 1; // the field is inside of the output
  const fault = type === 'object' ? findObjectError(text, levels) : findError(text, levels);
  if (fault) return `Line ${fault.line}, column ${fault.column}: ${fault.what}`;
  if (type === 'array' && !text.trim().startsWith('[')) return 'Must be a list, as in [1, 2]';
  return '';
}

/** What is wrong with the text of a field; '' if nothing. @param {Field} field @param {string} text */
export function errorOf({ kind, schema, isRequired }, text) {
  if (text.trim() === '') {
    if (!isRequired) return '';
    return kind === 'choice' || kind === 'yesno' ? 'Choose one' : 'An answer is needed';
  }
  switch (kind) {
    case 'number':
      return numberError(schema, text.trim());
    case 'lines':
      return linesError(schema, text);
    case 'json':
      return jsonError(schema, text);
    case 'instant':
      return Number.isNaN(Date.parse(text)) ? 'Must be a day and a time' : '';
    case 'text':
    case 'area':
      return textError(schema, text);
    default:
      return '';
  }
}

/** The text of a field as JSON. @param {Field} field @param {string} text */
function jsonOf({ kind, schema }, text) {
  switch (kind) {
    case 'number':
    case 'json':
      return text.trim(); // with every digit as it was typed
    case 'yesno':
      return text;
    case 'choice':
      return stringify(schema.enum[Number(text)]);
    case 'lines':
      return JSON.stringify(linesOf(text));
    case 'instant':
      return JSON.stringify(new Date(text).toISOString());
    default:
      return JSON.stringify(text);
  }
}

/** @typedef {Map<string, string>} Texts by the names of fields */

/** The output that the texts make, as JSON. Fields without text are left out. @param {Field[]} fields @param {Texts} texts */
export function outputOf(fields, texts) {
  const given = fields.filter(({ name }) => (texts.get(name) ?? '').trim() !== '');
  return `{${given.map((field) => `${JSON.stringify(field.name)}:${jsonOf(field, texts.get(field.name) ?? '')}`).join(',')}}`;
}

/** A value of a choice as a person reads it. @param {unknown} value */
export const optionOf = (value) => (typeof value === 'boolean' ? (value ? 'Yes' : 'No') : String(value));

/** The text of a field as a person reads it. @param {Field} field @param {string} text */
export function readOf({ kind, schema }, text) {
  if (kind === 'yesno') return text === 'true' ? 'Yes' : 'No';
  return kind === 'choice' ? optionOf(schema.enum[Number(text)]) : text;
}
