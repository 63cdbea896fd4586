import { Refusal, callBack, callbackPath, get, list, reasonLimit, signIn, signOut } from './api.js';
import { findObjectError, indent } from './json.js';

const $ = (selector, within = document) => within.querySelector(selector);
const filter = $('#filter'), table = $('#waits'), more = $('#more'), dialog = $('#wait');

const refreshEvery = 2000; // milliseconds
let shown = []; // the waits in the table
let pages = 1; // pages to show; "Show more" adds one
let next; // the cursor after the last shown page
let loading; // aborts the running list request
let opened; // the wait in the dialog
let mostReason = Infinity;
let signedOut = false; // the server refused the credentials; ask no more until there are others

// The filters are in the URL, so that users can share them and a reload keeps them.
function readAddress() {
  const query = new URLSearchParams(location.search);
  filter.project.value = query.get('project') ?? '';
  filter.workflow.value = query.get('workflow') ?? '';
  filter.status.value = query.get('status') ?? 'waiting';
  filter.order.value = query.get('order') ?? 'newest';
}

function writeAddress() {
  history.replaceState(null, '', `?${new URLSearchParams(new FormData(filter))}`);
}

function say(text) {
  if ($('#message').textContent !== text) $('#message').textContent = text;
}

// refresh reloads all shown pages.
async function refresh() {
  if (!filter.project.value) {
    say('Name a project to see its waits.');
    return;
  }
  loading?.abort();
  const mine = loading = new AbortController();
  const { project, workflow, status, order } = Object.fromEntries(new FormData(filter));
  try {
    let waits = [], cursor;
    for (let page = 0; page < pages; page++) {
      const answer = await list({ project, workflow, status, order, cursor, signal: mine.signal });
      waits = waits.concat(answer.waits);
      cursor = answer.next_cursor;
      if (!cursor) break;
    }
    $('#signin').hidden = true;
    shown = waits;
    next = cursor;
    say(`${waits.length}${cursor ? ' and more' : ''} ${waits.length === 1 ? 'wait' : 'waits'}${status ? ` in status ${status}` : ''}.`);
    render();
  } catch (error) {
    if (error.name === 'AbortError') return;
    refuse(error);
  }
}

function refuse(error) {
  if (error instanceof Refusal && (error.status === 401 || error.status === 429)) {
    signedOut = true;
    signOut();
    const wasHidden = $('#signin').hidden;
    $('#signin').hidden = false;
    if (wasHidden && !dialog.open) $('#signin input').focus();
  }
  table.hidden = true;
  more.hidden = true;
  say(error instanceof Refusal ? error.message : 'The server cannot be reached; it is tried again.');
}

// render updates the table row by row, so that the focus does not move.
function render() {
  const body = $('tbody', table);
  const rows = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  shown.forEach((wait, i) => {
    const row = rows.get(wait.wait_id) ?? newRow(wait);
    rows.delete(wait.wait_id);
    row.cells[3].textContent = wait.status;
    if (body.rows[i] !== row) body.insertBefore(row, body.rows[i] ?? null);
  });
  for (const row of rows.values()) row.remove();
  table.hidden = shown.length === 0;
  more.hidden = !next;
  tick();
}

function newRow(wait) {
  const row = document.createElement('tr');
  row.dataset.id = wait.wait_id;
  for (const text of [null, wait.run_id, wait.state_id, '', '', '']) row.insertCell().textContent = text ?? '';
  const open = document.createElement('button');
  open.type = 'button';
  open.textContent = wait.workflow_id;
  open.setAttribute('aria-label', `Open the wait of ${wait.workflow_id}, state ${wait.state_id}`);
  open.addEventListener('click', () => show(wait.project_id, wait.wait_id));
  row.cells[0].append(open);
  return row;
}

// tick updates the ages and the times left.
function tick() {
  const now = Date.now();
  shown.forEach((wait, i) => {
    const row = $('tbody', table).rows[i];
    if (!row) return;
    row.cells[4].textContent = span((wait.settled_at ? Date.parse(wait.settled_at) : now) - Date.parse(wait.created_at));
    row.cells[5].textContent = wait.status === 'waiting' ? span(Date.parse(wait.expires_at) - now) : '';
  });
  if (opened?.status === 'waiting') $('[data-fact="Time left"]')?.replaceChildren(span(Date.parse(opened.expires_at) - now));
}

function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${s} s` : `${s} s`;
}

// show opens a wait in the dialog, or updates it if it is already open.
async function show(project, waitID) {
  try {
    const { wait, input, output } = await get(project, waitID);
    const fresh = opened?.wait_id !== waitID;
    opened = wait;
    $('#wait-title').textContent = `${wait.workflow_id}, ${wait.state_id}`;
    facts(wait);
    $('#input-part').hidden = input === undefined;
    $('#input').textContent = input === undefined ? '' : indent(input);
    $('#outcome-part').hidden = wait.status === 'waiting';
    $('#outcome').textContent = outcomeOf(wait);
    $('#output').hidden = output === undefined;
    $('#output').textContent = output === undefined ? '' : indent(output);
    $('#ways').hidden = wait.status !== 'waiting';
    if (fresh) {
      for (const form of [$('#succeed'), $('#fail')]) form.reset();
      for (const place of ['#json-error', '#reason-error', '#answer']) $(place).textContent = '';
      countReason();
    }
    if (!dialog.open) dialog.showModal();
  } catch (error) {
    refuse(error);
  }
}

function facts(wait) {
  const all = {
    Run: wait.run_id, State: wait.state_id, Execution: wait.execution_id, Status: wait.status,
    Opened: new Date(wait.created_at).toLocaleString(), Deadline: new Date(wait.expires_at).toLocaleString(),
    ...(wait.status === 'waiting' ? { 'Time left': span(Date.parse(wait.expires_at) - Date.now()) } : {}),
  };
  $('#facts').replaceChildren(...Object.entries(all).flatMap(([name, value]) => {
    const term = document.createElement('dt'), what = document.createElement('dd');
    term.textContent = name;
    what.textContent = value;
    what.dataset.fact = name;
    return [term, what];
  }));
}

function outcomeOf(wait) {
  const by = wait.settled_by ? ` by ${wait.settled_by}` : '';
  const when = wait.settled_at ? `, ${new Date(wait.settled_at).toLocaleString()}` : '';
  const reason = wait.outcome?.error ? `: ${wait.outcome.error}` : '';
  return `${wait.status}${reason}${by}${when}`;
}

// successBody and failBody return the body of the callback, or null if the form is invalid.
// The output is sent as typed, so that numbers keep every digit.
function successBody() {
  const text = $('#json').value;
  const error = findObjectError(text);
  $('#json-error').textContent = error ? `Line ${error.line}, column ${error.column}: ${error.what}.` : '';
  $('#json').setAttribute('aria-invalid', String(Boolean(error)));
  return error ? null : `{"result":"success","output":${text.trim()}}`;
}

function failBody() {
  const tooLong = countReason() > mostReason;
  $('#reason-error').textContent = tooLong ? `The contract allows ${mostReason} characters.` : '';
  $('#reason').setAttribute('aria-invalid', String(tooLong));
  return tooLong ? null : JSON.stringify({ result: 'fail', error: $('#reason').value, output: {} });
}

function countReason() {
  const count = [...$('#reason').value].length;
  $('#reason-count').textContent = `${count} of ${mostReason} characters`;
  return count;
}

function settle(bodyOf, field) {
  return async (event) => {
    event.preventDefault();
    const body = bodyOf();
    if (body === null) {
      $(field).focus();
      return;
    }
    $('#answer').textContent = 'Sending …';
    try {
      const { execution_id: execution } = await callBack(opened, body);
      $('#answer').textContent = `Done: the flow goes on as execution ${execution}.`;
    } catch (error) {
      $('#answer').textContent = error instanceof Refusal ? error.message : 'The server cannot be reached. Sending it again does no harm.';
      if (error instanceof Refusal && error.status === 401) refuse(error);
    }
    await show(opened.project_id, opened.wait_id);
    refresh();
  };
}

// quote quotes a text for a shell. Control characters are escaped, because a terminal acts on
// them when the text is pasted.
function quote(text) {
  if (!/[\u0000-\u001f\u007f-\u009f]/.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`;
  const escaped = text.replace(/[\u0000-\u001f\u007f-\u009f'\\]/g, (c) => (c === "'" || c === '\\' ? `\\${c}` : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`));
  return `$'${escaped}'`;
}

function commandOf(kind, isFail) {
  const body = isFail ? failBody() : successBody();
  if (body === null) return null;
  const ids = opened;
  if (kind === 'curl') {
    return [`curl -i ${quote(location.origin + callbackPath(ids))}`, `-H 'Content-Type: application/json'`,
      `-H ${quote(`X-Workflow-Run-Id: ${ids.run_id}`)}`, `-H ${quote(`X-Workflow-State-Id: ${ids.state_id}`)}`, `-d ${quote(body)}`].join(' \\\n  ');
  }
  return [`flowcallback ${isFail ? 'fail' : 'succeed'} --endpoint ${quote(location.origin)} --project-id ${quote(ids.project_id)}`,
    `--workflow-id ${quote(ids.workflow_id)} --run-id ${quote(ids.run_id)} --state-id ${quote(ids.state_id)}`,
    isFail ? `--error ${quote($('#reason').value)}` : `--output ${quote($('#json').value.trim())}`].join(' \\\n  ');
}

for (const button of document.querySelectorAll('[data-copy]')) {
  button.addEventListener('click', async () => {
    const command = commandOf(button.dataset.copy, button.form.id === 'fail');
    if (command === null) return;
    try {
      await navigator.clipboard.writeText(command);
      $('#answer').textContent = 'Copied.';
    } catch {
      $('#answer').textContent = `The browser does not let it be copied: ${command}`;
    }
  });
}

filter.addEventListener('submit', (event) => { event.preventDefault(); pages = 1; writeAddress(); refresh(); });
for (const select of [filter.status, filter.order]) select.addEventListener('change', () => filter.requestSubmit());
$('#signin').addEventListener('submit', (event) => {
  event.preventDefault();
  signIn($('#signin').token.value);
  signedOut = false;
  $('#signin').reset();
  refresh();
});
more.addEventListener('click', () => { pages++; refresh(); });
$('#json').addEventListener('input', successBody);
$('#reason').addEventListener('input', failBody);
$('#succeed').addEventListener('submit', settle(successBody, '#json'));
$('#fail').addEventListener('submit', settle(failBody, '#reason'));
$('#close').addEventListener('click', () => dialog.close());
dialog.addEventListener('close', () => { opened = undefined; });

readAddress();
setInterval(tick, 1000);
setInterval(() => {
  if (document.hidden || signedOut) return;
  refresh();
  if (opened?.status === 'waiting') show(opened.project_id, opened.wait_id);
}, refreshEvery);
reasonLimit().then((most) => { mostReason = most; countReason(); }, refuse);
refresh();
