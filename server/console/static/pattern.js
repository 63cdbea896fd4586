// Patterns of output schemas. The server matches them with RE2, in time that grows with the text alone. Some of them
// could hang a browser, and it reads others differently. Both kinds are left to the server.

const longest = 200; // characters; what a person types into a field with a pattern

/** What RE2 and JavaScript read differently: some escapes, groups with flags, classes that begin with a bracket. */
const differs = /\(\?|\[\^?\]|\[\[:|\\[sSpPAzQEC]/;

/** Whether a pattern repeats a group, or has two repetitions without an end. @param {string} pattern */
function isSlow(pattern) {
  const plain = pattern.replace(/\\./g, 'x').replace(/\[[^\]]*\]/g, 'x'); // without escapes and classes
  return /\)[*+?{]/.test(plain) || (plain.match(/[*+]|\{\d+,\}/g) ?? []).length > 1;
}

/** Whether a text certainly does not match a pattern. @param {string} pattern @param {string} text */
export function fails(pattern, text) {
  if (text.length > longest || differs.test(pattern) || isSlow(pattern)) return false;
  try {
    return !new RegExp(pattern, 'u').test(text);
  } catch {
    return false;
  }
}
