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

/**
 * Copies a text, and returns whether the browser allowed it.
 * @param {string} text
 * @param {string} what
 */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
    return true;
  } catch {
    return false; // without https, or without permission
  }
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
