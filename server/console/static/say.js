// Says something to people who do not see the page, and copies texts for those who do.

/** @param {string} place @param {string} text */
function put(place, text) {
  const region = document.getElementById(place);
  if (region) region.textContent = text;
}

/** Says it at the next pause. @param {string} text */
export const say = (text) => put('polite', text);

/** Says it at once. @param {string} text */
export const alert = (text) => put('assertive', text);

/** The older way, which works without https too. @param {string} text */
function copyFromField(text) {
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'unseen';
  (document.querySelector('dialog[open]') ?? document.body).append(field);
  const before = document.activeElement;
  field.select();
  const isCopied = document.execCommand('copy');
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  return isCopied;
}

/**
 * Copies a text, and returns whether the browser allowed it.
 * @param {string} text
 * @param {string} what
 */
export async function copy(text, what) {
  const isCopied =
    (await navigator.clipboard?.writeText(text).then(
      () => true,
      () => copyFromField(text),
    )) ?? copyFromField(text);
  say(isCopied ? `${what} copied` : 'This browser does not let the page copy');
  return isCopied;
}

const announced = [15, 5]; // minutes before a deadline

/** Says once each that a deadline comes near; never a clock's tick. */
export class Countdown {
  /** @type {number[]} */
  told = [];

  /** @param {number} left milliseconds */
  tell(left) {
    const minutes = left / 60_000;
    const due = announced.filter((at) => minutes <= at && minutes > at - 1 && !this.told.includes(at));
    this.told.push(...due);
    if (due.length) say(`${due[0]} minutes left`);
  }
}
