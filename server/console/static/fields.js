// The fields of a form.

import { html, nothing } from './lit/lit-html.js';
import { live } from './lit/directives/live.js';
import { optionOf } from './form.js';
import { lengthOf } from './limits.js';

/** @typedef {import('./answer.js').Answer} Answer */
/** @typedef {import('./form.js').Field} Field */

const fewest = 4; // options from which on a list is easier than buttons
const shortest = 40; // characters of options that fit beside each other

/** @param {Event} event */
const valueOf = (event) => /** @type {HTMLInputElement} */ (event.target).value;

/** The id of a field in the page. @param {Field} field @param {Field[]} fields */
export const idOf = (field, fields) => `field-${fields.indexOf(field)}`;

/** @param {string | undefined} type */
const jsonHint = (type) => ({ object: 'A JSON object', array: 'A JSON list' })[type ?? ''] ?? 'A JSON value';

/** @param {Field} field */
function limitsOf({ kind, schema }) {
  const { minimum, maximum, minItems, maxItems } = schema;
  if (kind === 'number') {
    if (minimum !== undefined && maximum !== undefined) return `From ${minimum} to ${maximum}`;
    if (minimum !== undefined) return `At least ${minimum}`;
    return maximum === undefined ? '' : `At most ${maximum}`;
  }
  if (kind === 'instant') return 'In the time zone of this browser';
  if (kind === 'json') return jsonHint(schema.type);
  if (kind !== 'lines') return '';
  const most = maxItems === undefined ? '' : `, at most ${maxItems}`;
  return `One entry on each line${minItems ? `, at least ${minItems}` : ''}${most}`;
}

/** @typedef {{id: string, field: Field, answer: Answer, isFixed: boolean, changed: () => void}} Shown */

/** Attributes that fields share: names of what explains it. @param {Shown} shown */
const describedBy = ({ id }) => `${id}-e ${id}-h`;

/** @param {Shown} shown */
function textControl(shown) {
  const { id, field, answer, isFixed, changed } = shown;
  const write = (/** @type {Event} */ event) => {
    answer.write(field.name, valueOf(event));
    changed();
  };
  const leave = () => {
    if (!isFixed) answer.left.add(field.name);
    queueMicrotask(changed); // a field is left also when it is removed, during a drawing
  };
  const invalid = answer.shownError(field) ? 'true' : nothing;
  const text = live(answer.text(field.name));
  if (field.kind === 'area' || field.kind === 'lines' || field.kind === 'json') {
    return html`<textarea
      id=${id}
      name=${field.name}
      rows=${field.kind === 'area' ? 2 : 4}
      class=${field.kind === 'json' ? 'code' : ''}
      spellcheck=${field.kind === 'json' ? 'false' : 'true'}
      .value=${text}
      ?readonly=${isFixed}
      aria-required=${field.isRequired}
      aria-invalid=${invalid}
      aria-describedby=${describedBy(shown)}
      @input=${write}
      @blur=${leave}
    ></textarea>`;
  }
  const type = { date: 'date', instant: 'datetime-local' }[/** @type {string} */ (field.kind)] ?? 'text';
  return html`<input
    id=${id}
    name=${field.name}
    type=${type}
    inputmode=${field.kind === 'number' ? 'decimal' : nothing}
    autocomplete="off"
    .value=${text}
    ?readonly=${isFixed}
    aria-required=${field.isRequired}
    aria-invalid=${invalid}
    aria-describedby=${describedBy(shown)}
    @input=${write}
    @blur=${leave}
  />`;
}

/** The options of a choice: what is kept and what is read. @param {Field} field @returns {[string, string][]} */
function optionsOf({ kind, schema, isRequired }) {
  /** @type {[string, string][]} */
  const options =
    kind === 'yesno'
      ? [
          ['true', 'Yes'],
          ['false', 'No'],
        ]
      : schema.enum.map((/** @type {unknown} */ value, /** @type {number} */ i) => [String(i), optionOf(value)]);
  return isRequired ? options : [...options, ['', 'No answer']];
}

/** @param {Shown} shown */
function choose({ field, answer, changed }) {
  return (/** @type {Event} */ event) => {
    answer.write(field.name, valueOf(event));
    answer.left.add(field.name);
    changed();
  };
}

/** @param {Shown} shown @param {[string, string][]} options */
function select(shown, options) {
  const { id, field, answer, isFixed } = shown;
  const text = answer.text(field.name);
  return html`<select
    id=${id}
    name=${field.name}
    ?disabled=${isFixed}
    aria-required=${field.isRequired}
    aria-invalid=${answer.shownError(field) ? 'true' : nothing}
    aria-describedby=${describedBy(shown)}
    @change=${choose(shown)}
  >
    ${field.isRequired ? html`<option value="" ?selected=${text === ''}>Choose…</option>` : nothing}
    ${options.map(([value, word]) => html`<option value=${value} ?selected=${text === value}>${word}</option>`)}
  </select>`;
}

/** @param {Shown} shown @param {[string, string][]} options */
function buttons(shown, options) {
  const { id, field, answer } = shown;
  const radio = (/** @type {[string, string]} */ [value, word], /** @type {number} */ i) =>
    html`<label
      ><input
        type="radio"
        id=${i === 0 ? id : nothing}
        name=${id}
        value=${value}
        .checked=${live(answer.text(field.name) === value)}
        @change=${choose(shown)}
      />${word}</label
    >`;
  return html`<div class="choice ${answer.shownError(field) ? 'is-invalid' : ''}">${options.map(radio)}</div>`;
}

/** @param {Shown} shown */
function under({ id, field, answer }) {
  const error = answer.shownError(field);
  const { maxLength } = field.schema;
  const count =
    maxLength !== undefined && (field.kind === 'text' || field.kind === 'area')
      ? html`<span class="num">${lengthOf(answer.text(field.name))} of ${maxLength}</span>`
      : nothing;
  const hint = error ? '' : [field.help, limitsOf(field)].filter(Boolean).join('. '); // the error says the limit
  return html`${error ? html`<p class="error" id="${id}-e">${error}</p>` : nothing}
  ${hint || count !== nothing ? html`<p class="hint" id="${id}-h"><span>${hint}</span>${count}</p>` : nothing}`;
}

/**
 * One field with its label, its limits and what is wrong with it.
 * @param {Shown} shown
 */
export function fieldOf(shown) {
  const { id, field, isFixed } = shown;
  const optional = field.isRequired ? nothing : html`<span class="optional">Optional</span>`;
  if (field.kind === 'choice' || field.kind === 'yesno') {
    const options = optionsOf(field);
    const areShort = options.map(([, word]) => word).join('').length <= shortest;
    if (options.length <= fewest && areShort) {
      return html`<fieldset class="field" ?disabled=${isFixed} aria-describedby=${describedBy(shown)}>
        <legend><span>${field.label}</span>${optional}</legend>
        ${buttons(shown, options)}${under(shown)}
      </fieldset>`;
    }
    return html`<div class="field">
      <label for=${id}><span>${field.label}</span>${optional}</label>${select(shown, options)}${under(shown)}
    </div>`;
  }
  return html`<div class="field">
    <label for=${id}><span>${field.label}</span>${optional}</label>${textControl(shown)}${under(shown)}
  </div>`;
}
