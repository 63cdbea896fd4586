// An object of JSON as labelled values, or as JSON.

import { html, nothing } from './lit/lit-html.js';
import * as icons from './icons.js';
import { Exact, keepsDigits, stringify } from './json.js';
import { counted, readable } from './words.js';

const most = 12; // values that are shown before somebody asks for the rest
const mostRows = 100; // of a table or list

/** @param {unknown} value @returns {value is object} */
const isNested = (value) => typeof value === 'object' && value !== null && !(value instanceof Exact);

/** @param {unknown} value */
function scalar(value) {
  if (value === true) return 'Yes';
  if (value === false) return 'No';
  if (value === null) return html`<span class="muted">None</span>`;
  if (value === '') return html`<span class="muted">Empty</span>`;
  const text = String(value);
  if (typeof value === 'string' && /^https:\/\/[^\s]+$/.test(text) && URL.canParse(text))
    return html`<a href=${text} target="_blank" rel="noopener noreferrer">${text}</a>`;
  return text;
}

/** @param {unknown} value */
const isNumber = (value) => typeof value === 'number' || value instanceof Exact;

/** @param {unknown} value */
function sizeOf(value) {
  const count = Object.keys(/** @type {object} */ (value)).length;
  return Array.isArray(value) ? counted(count, 'entry', 'entries') : counted(count, 'value', 'values');
}

/** Whether the entries are objects of the same names without further nesting. @param {unknown[]} entries @returns {entries is {[name: string]: unknown}[]} */
function isTable(entries) {
  const shape = (/** @type {unknown} */ entry) =>
    isNested(entry) && !Array.isArray(entry) && !Object.values(entry).some(isNested) ? Object.keys(entry).join('\n') : undefined;
  const [first] = entries;
  return shape(first) !== undefined && shape(first) !== '' && entries.every((entry) => shape(entry) === shape(first));
}

const shortTable = 10; // rows that are shown at once

/** @param {unknown} value */
const isShort = (value) => Array.isArray(value) && value.length <= shortTable && isTable(value);

/** @param {number} count */
const andMore = (count) => (count > mostRows ? html`<p class="muted small">and ${count - mostRows} more, in Raw JSON</p>` : nothing);

/** @param {{[name: string]: unknown}[]} entries @param {string} label */
function grid(entries, label) {
  const names = Object.keys(entries[0]);
  const end = (/** @type {string} */ name) => (entries.every((entry) => isNumber(entry[name])) ? 'end' : '');
  const ends = new Map(names.map((name) => [name, end(name)]));
  return html`<div class="in scroll" tabindex="0" role="region" aria-label=${label}>
    <table class="grid">
      <thead>
        <tr>
          ${names.map((name) => html`<th class=${ends.get(name)} title=${name}>${readable(name)}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${entries.slice(0, mostRows).map(
          (entry) =>
            html`<tr>
              ${names.map((name) => html`<td class=${ends.get(name)}>${scalar(entry[name])}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
    ${andMore(entries.length)}
  </div>`;
}

/** @param {unknown[]} entries */
function entriesOf(entries) {
  const scalars = entries.filter((entry) => !isNested(entry));
  if (scalars.length === entries.length) {
    return html`<div class="in">
      <ul>
        ${entries.slice(0, mostRows).map((entry) => html`<li>${scalar(entry)}</li>`)}
      </ul>
      ${andMore(entries.length)}
    </div>`;
  }
  return html`<div class="in">
    ${entries.slice(0, mostRows).map((entry, i) => (isNested(entry) ? fold(`${i + 1}`, `${i + 1}`, entry) : html`<p>${scalar(entry)}</p>`))}${andMore(
      entries.length,
    )}
  </div>`;
}

/** @param {string} name @param {string} label @param {object} value @returns {unknown} */
function fold(name, label, value, isOpen = false) {
  let body;
  if (!Array.isArray(value)) body = html`<div class="in">${labelled(value)}</div>`;
  else body = isTable(value) ? grid(value, label) : entriesOf(value);
  return html`<details class="fold" ?open=${isOpen}>
    <summary title=${name}>${icons.next}${label} <span class="muted">${sizeOf(value)}</span></summary>
    ${body}
  </details>`;
}

/** @param {[string, unknown][]} members */
const list = (members) =>
  html`<dl class="values">
    ${members.map(
      ([name, value]) =>
        html`<dt title=${name}>${readable(name)}</dt>
          <dd>${scalar(value)}</dd>`,
    )}
  </dl>`;

/** The members of an object: first those that are not nested, then the others, folded. @param {object} object @returns {unknown} */
function labelled(object) {
  const all = Object.entries(object);
  const scalars = all.filter(([, value]) => !isNested(value));
  const rest = scalars.length > most ? scalars.slice(most) : [];
  return html`${list(scalars.slice(0, most))}
  ${rest.length
    ? html`<details class="more">
        <summary>${icons.next}Show ${counted(rest.length, 'more value', 'more values')}</summary>
        ${list(rest)}
      </details>`
    : nothing}
  ${all.filter(([, value]) => isNested(value)).map(([name, value]) => fold(name, readable(name), /** @type {object} */ (value), isShort(value)))}`;
}

/**
 * A part of the page with an object, as values or as JSON.
 * @param {string} title
 * @param {object} object
 */
export function part(title, object) {
  const id = title.toLowerCase();
  return html`<section class="part" aria-labelledby="${id}-head">
    <header>
      <h2 id="${id}-head">${title}</h2>
      <div class="view" role="radiogroup" aria-label="Show ${id} as">
        <label><input type="radio" name="${id}-view" checked />Values</label>
        <label><input type="radio" name="${id}-view" class="raw" />Raw JSON</label>
      </div>
    </header>
    <div class="as-values">${Object.keys(object).length ? labelled(object) : html`<p class="muted">Nothing</p>`}</div>
    <pre class="code as-raw" tabindex="0" role="region" aria-label="${title} as JSON">${stringify(object, 2)}</pre>
    ${keepsDigits ? nothing : html`<p class="muted small">This browser shows numbers with at most 16 digits.</p>`}
  </section>`;
}
