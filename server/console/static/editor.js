// The editor of an output that has no form.

import { html, nothing } from './lit/lit-html.js';
import { live } from './lit/directives/live.js';

/** @typedef {import('./answer.js').Answer} Answer */

/**
 * The editor of the details: an object of JSON, with the lines numbered.
 * @param {Answer} answer
 * @param {boolean} isFixed
 * @param {() => void} changed
 */
export function editor(answer, isFixed, changed) {
  const { fault, details } = answer;
  const lines = Math.max(6, details.split('\n').length);
  const write = (/** @type {Event} */ event) => {
    answer.details = /** @type {HTMLTextAreaElement} */ (event.target).value;
    changed();
  };
  const toFault = () => {
    const field = /** @type {HTMLTextAreaElement} */ (document.getElementById('json'));
    field.focus();
    field.setSelectionRange(fault?.at ?? 0, fault?.at ?? 0);
  };
  const remove = () => {
    answer.details = '';
    answer.isOpen = false;
    changed();
  };
  return html`<div class="field">
    <label for="json">Output, a JSON object</label>
    <div class="editor">
      <ol aria-hidden="true">
        ${Array.from({ length: details.split('\n').length }, (_, i) => html`<li class=${fault?.line === i + 1 ? 'at' : ''}>${i + 1}</li>`)}
      </ol>
      <textarea
        id="json"
        name="output"
        rows=${lines}
        spellcheck="false"
        autocapitalize="off"
        wrap="off"
        ?readonly=${isFixed}
        .value=${live(details)}
        aria-invalid=${fault ? 'true' : nothing}
        aria-describedby="json-e"
        @input=${write}
      ></textarea>
    </div>
    <p class="error" id="json-e">${fault ? `Line ${fault.line}, column ${fault.column}: ${fault.what}` : ''}</p>
    ${isFixed
      ? nothing
      : html`<p class="hint">
          ${fault ? html`<button type="button" class="link" @click=${toFault}>Go to line ${fault.line}</button>` : html`<span></span>`}<button
            type="button"
            class="link"
            @click=${remove}
          >
            Remove details
          </button>
        </p>`}
  </div>`;
}
