// The one dialog of the page. Whether it is open is a part of the state of the view: the view
// says at each drawing what it shows.

import { render } from './lit/lit-html.js';

const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('dialog'));

/** @type {() => void} */
let leave = () => {};

/**
 * Shows the template in the dialog; null closes it.
 * @param {unknown} template
 * @param {() => void} [onBack] is called when somebody closes it with Esc
 */
export function showDialog(template, onBack = () => {}) {
  leave = onBack;
  if (template === null) {
    dialog.close();
    render('', dialog);
    return;
  }
  render(template, dialog);
  if (!dialog.open) dialog.showModal();
}

dialog?.addEventListener('cancel', (event) => {
  event.preventDefault();
  leave();
});

// A key that is still held from opening the dialog must not press its button.
dialog?.addEventListener('keydown', (event) => {
  if (event.repeat && event.key === 'Enter' && !(event.target instanceof HTMLTextAreaElement)) event.preventDefault();
});
