// What somebody is about to answer: the texts of the form, or an object of JSON.

import { errorOf, fieldsOf, outputOf, readOf } from './form.js';
import { parse, stringify } from './json.js';
import { findObjectError } from './jsonerror.js';
import { schema } from './limits.js';
import { me } from './store.js';

/** @typedef {import('./form.js').Field} Field */

export class Answer {
  /** @param {import('./limits.js').Schema | undefined} outputSchema if the wait has one */
  constructor(outputSchema) {
    this.fields = outputSchema ? fieldsOf(outputSchema) : [];
    /** @type {import('./form.js').Texts} */
    this.texts = new Map();
    /** @type {Set<string>} */
    this.left = new Set(); // names of fields that were left, whose errors are shown
    this.details = '';
    this.isOpen = false; // the editor of the details
    /** @type {Map<string, string>} */
    this.refused = new Map(); // what the server found wrong, by field
  }

  get isForm() {
    return this.fields.length > 0;
  }

  /** Whether something was typed. */
  get isStarted() {
    return this.details.trim() !== '' || [...this.texts.values()].some((text) => text.trim() !== '');
  }

  /** @param {string} name */
  text(name) {
    return this.texts.get(name) ?? '';
  }

  /** @param {string} name @param {string} text */
  write(name, text) {
    this.texts.set(name, text);
    this.refused.delete(name);
  }

  /** @param {Field} field */
  error(field) {
    return errorOf(field, this.text(field.name)) || this.refused.get(field.name) || '';
  }

  /** The error of a field, once its author had the chance to write it. @param {Field} field */
  shownError(field) {
    return this.left.has(field.name) ? this.error(field) : '';
  }

  get faulty() {
    return this.fields.filter((field) => this.error(field));
  }

  /** What is wrong with the details, or null. */
  get fault() {
    return this.details.trim() === '' ? null : findObjectError(this.details, schema('AnyOutput')['x-max-depth']);
  }

  get isValid() {
    return this.isForm ? this.faulty.length === 0 : this.fault === null;
  }

  /** Shows all errors. */
  leaveAll() {
    for (const { name } of this.fields) this.left.add(name);
  }

  /** Takes a refusal of the server, which names a member as in "output.carrier: is missing". Returns whether a field has it. @param {string} message */
  refuse(message) {
    const [, path, rule] = /output\.(.+?): (.+)$/.exec(message) ?? [];
    const field = this.fields.find(({ name }) => path === name || path?.startsWith(`${name}.`) || path?.startsWith(`${name}[`));
    if (field) {
      this.refused.set(field.name, rule[0].toUpperCase() + rule.slice(1));
      this.left.add(field.name);
    }
    return field !== undefined;
  }

  /** What was written, to keep it elsewhere. */
  get written() {
    const given = this.fields.filter(({ name }) => this.text(name).trim() !== '');
    return this.isForm ? given.map((field) => `${field.label}: ${readOf(field, this.text(field.name))}`).join('\n') : this.details.trim();
  }

  /** The output as JSON. */
  get output() {
    if (this.isForm) return outputOf(this.fields, this.texts);
    return this.details.trim() || '{}';
  }
}

/** The body of a callback with success. The output is sent as it was typed, so that numbers keep every digit. @param {string} output */
export const successBody = (output) => `{"result":"success","output":${output}}`;

/** The body of a callback with fail; its reason is optional. @param {string} reason */
export const failBody = (reason) =>
  JSON.stringify({
    result: 'fail',
    ...(reason ? { error: reason } : {}),
    output: {},
  });

/** Whether a wait was decided with the body of a callback, by who is signed in. @param {import('./api.js').Wait} wait @param {string} body */
export function isOutcome({ outcome, settled_by: by }, body) {
  const sent = parse(body);
  const isSame = outcome?.result === sent.result && outcome?.error === sent.error && stringify(outcome?.output) === stringify(sent.output);
  return isSame && by === me()?.name;
}
