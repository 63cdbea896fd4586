// Says where a text is not JSON. JSON.parse reports a position only in some browsers and for some
// errors, and accepts a name twice.

/** @typedef {{what: string, at: number, line: number, column: number}} Fault */

class Found {
  /** @param {string} what @param {number} at */
  constructor(what, at) {
    this.what = what;
    this.at = at;
  }
}

/**
 * Returns null if the text is JSON (RFC 8259) with at most a number of levels. Otherwise it returns the
 * first error, with its line and column counted from 1.
 * @param {string} text
 * @param {number} levels
 * @returns {Fault | null}
 */
export function findError(text, levels) {
  let at = 0;
  let level = 0;
  /** @param {string} what @returns {never} */
  const fail = (what) => {
    throw new Found(what, at);
  };
  const space = () => {
    while (/[ \t\n\r]/.test(text[at] ?? '')) at++;
  };
  const literal = (/** @type {string} */ word) => {
    if (!text.startsWith(word, at)) fail('a value is expected');
    at += word.length;
  };
  const string = () => {
    const start = at++;
    for (; ; at++) {
      if (at >= text.length || text[at] === '\n') {
        at = start;
        fail('this text is not closed');
      }
      if (text[at] === '"') {
        at++;
        return;
      }
      if (text[at] < ' ') fail('a control character in a text must be escaped');
      if (text[at] !== '\\') continue;
      at++;
      if (text[at] === 'u') {
        if (!/^[0-9a-fA-F]{4}$/.test(text.slice(at + 1, at + 5))) fail('\\u wants four hexadecimal digits');
        at += 4;
      } else if (!'"\\/bfnrt'.includes(text[at] ?? ' ')) fail('no such escape');
    }
  };
  const number = () => {
    const match = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/.exec(text.slice(at));
    at += match ? match[0].length : fail('a value is expected');
  };
  const members = (/** @type {string} */ close, /** @type {() => void} */ one) => {
    if (++level > levels) fail(`objects and lists nest more than ${levels} levels deep`);
    at++;
    space();
    if (text[at] === close) {
      level--;
      at++;
      return;
    }
    for (;;) {
      space();
      one();
      space();
      if (text[at] === close) {
        level--;
        at++;
        return;
      }
      if (text[at] !== ',')
        fail(text[at] === '"' ? `a comma is missing before ${/^"[^"]*"?/.exec(text.slice(at))}` : `"," or "${close}" is expected`);
      at++;
    }
  };
  const value = () => {
    space();
    const c = text[at];
    if (c === '{') {
      const names = new Set();
      members('}', () => {
        if (text[at] !== '"') fail('a name in double quotes is expected');
        const start = at;
        string();
        const name = text.slice(start, at);
        if (names.has(name)) {
          at = start;
          fail(`the name ${name} is used twice`);
        }
        names.add(name);
        space();
        if (text[at] !== ':') fail('":" is expected');
        at++;
        value();
      });
    } else if (c === '[') members(']', value);
    else if (c === '"') string();
    else if (c === 't') literal('true');
    else if (c === 'f') literal('false');
    else if (c === 'n') literal('null');
    else number();
  };
  try {
    value();
    space();
    if (at < text.length) fail('nothing may follow');
    return null;
  } catch (error) {
    if (!(error instanceof Found)) throw error;
    const before = text.slice(0, error.at).split('\n');
    return {
      what: error.what,
      at: error.at,
      line: before.length,
      column: before[before.length - 1].length + 1,
    };
  }
}

/**
 * The same for a text that must be a JSON object.
 * @param {string} text
 * @param {number} levels
 */
export function findObjectError(text, levels) {
  const error = findError(text, levels);
  if (error) return error;
  return text.trim().startsWith('{')
    ? null
    : {
        what: 'an object is expected, as in {"approved": true}',
        at: 0,
        line: 1,
        column: 1,
      };
}
