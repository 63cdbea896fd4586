// findError returns null if the text is JSON (RFC 8259). Otherwise it returns the first error,
// with its line and column counted from 1. JSON.parse reports a position only in some browsers,
// and its messages differ between browsers.
export function findError(text) {
  let at = 0;
  const fail = (what) => { throw { what, at }; };
  const space = () => { while (/[ \t\n\r]/.test(text[at] ?? '')) at++; };
  const literal = (word) => {
    if (!text.startsWith(word, at)) fail('a value is expected');
    at += word.length;
  };
  const string = () => {
    const start = at++;
    for (;; at++) {
      if (at >= text.length || text[at] === '\n') { at = start; fail('this text is not closed'); }
      if (text[at] === '"') { at++; return; }
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
    if (!match) fail('a value is expected');
    at += match[0].length;
  };
  const members = (close, one) => {
    at++;
    space();
    if (text[at] === close) { at++; return; }
    for (;;) {
      space();
      one();
      space();
      if (text[at] === close) { at++; return; }
      if (text[at] !== ',') fail(`"," or "${close}" is expected`);
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
        if (names.has(name)) { at = start; fail(`the name ${name} is used twice`); }
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
    if (error.what === undefined) throw error;
    const before = text.slice(0, error.at).split('\n');
    return { what: error.what, at: error.at, line: before.length, column: before.at(-1).length + 1 };
  }
}

// findObjectError is findError for a text that must be a JSON object.
export function findObjectError(text) {
  const error = findError(text);
  if (error) return error;
  return text.trim().startsWith('{') ? null : { what: 'an object is expected, as in {"approved": true}', at: 0, line: 1, column: 1 };
}

// indent formats JSON with indentation and keeps the digits of numbers.
export function indent(text) {
  let depth = 0, out = '';
  for (const [token] of text.matchAll(/"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === '}' || token === ']') {
      depth--;
      out = /[{[]\s*$/.test(out) ? out.trimEnd() + token : `${out}\n${'  '.repeat(depth)}${token}`;
    } else if (token === '{' || token === '[') out += `${token}\n${'  '.repeat(++depth)}`;
    else if (token === ',') out += `,\n${'  '.repeat(depth)}`;
    else out += token === ':' ? ': ' : token;
  }
  return out;
}
