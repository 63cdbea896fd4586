// Words for names and numbers.

/** A member's name as a label: with spaces and a first capital. @param {string} name */
export function readable(name) {
  const text = name.replaceAll('_', ' ').trim();
  const [first] = text;
  return first ? first.toUpperCase() + text.slice(first.length) : JSON.stringify(name);
}

/** A number of things, such as "1 entry". @param {number} count @param {string} one @param {string} many */
export const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;
