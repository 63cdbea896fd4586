// Single letters as commands in a list: J and K move, X selects, / searches.

import { letterKeys } from './store.js';

/**
 * @param {HTMLElement} main
 * @param {AbortSignal} signal
 * @param {(waitId: string) => void} pick selects a row, or the opposite
 */
export function listKeys(main, signal, pick) {
  /** @param {number} step */
  function move(step) {
    const links = /** @type {HTMLElement[]} */ ([...main.querySelectorAll('a.q')]);
    const at = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    links[at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
  }

  /** @type {{[key: string]: () => void}} */
  const commands = {
    j: () => move(1),
    k: () => move(-1),
    x: () => {
      const row = document.activeElement?.closest('tr');
      if (row?.dataset.id) pick(row.dataset.id);
    },
    '/': () => /** @type {HTMLElement | null} */ (main.querySelector('#q'))?.focus(),
  };

  document.addEventListener(
    'keydown',
    (event) => {
      const target = /** @type {Element} */ (event.target);
      const isField = target.matches('input:not([type="checkbox"]), select, textarea') || target.closest('dialog, [popover]');
      const command = commands[event.key.toLowerCase()];
      if (isField || !command || event.ctrlKey || event.metaKey || event.altKey || !letterKeys()) return;
      event.preventDefault();
      command();
    },
    { signal },
  );
}
