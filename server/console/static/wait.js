// The page of one wait.

import { html, nothing, render } from './lit/lit-html.js';
import { keyed } from './lit/directives/keyed.js';
import { Refusal, callBack, checkSendable, get } from './api.js';
import { failed } from './blank.js';
import { isOutcome } from './answer.js';
import { backFromDialog, decisionDialog } from './confirm.js';
import { deciding, decisionCard, readOnlyCard, unsendableCard } from './decision.js';
import { showDialog } from './dialog.js';
import { Connection, isTransient, secondsTo } from './follow.js';
import { drawFrame } from './frame.js';
import { aftermathOf } from './aftermath.js';
import { show } from './router.js';
import { Countdown, alert } from './say.js';
import { leave } from './session.js';
import { leftOf, question, statuses } from './status.js';
import { may } from './store.js';
import { now } from './time.js';
import { part } from './values.js';
import { lateCard, verdictCard } from './verdict.js';
import { menu } from './waitmenu.js';
import { ask, ids } from './waitparts.js';

/** @typedef {import('./api.js').Wait} Wait */
/** @typedef {import('./decision.js').Deciding} Deciding */
/** @typedef {import('./waitmenu.js').Asking} Asking */

const main = /** @type {HTMLElement} */ (document.getElementById('main'));

/** @param {import('./router.js').Place} place @param {AbortSignal} signal */
export function showWait({ project, wait: waitId }, signal) {
  const connection = new Connection(draw);
  const started = now();
  /** @type {unknown} */
  let problem = null;
  /** @type {Deciding | undefined} */
  let d;
  /** @type {Asking | null} */
  let asking = null;
  let isLate = false; // it was decided while somebody was writing here
  /** @type {import('./aftermath.js').Aftermath} */
  let aftermath = { links: [], next: '' };
  /** @type {unknown} */
  let rest; // the parts that change only with the wait

  /** @param {unknown} error */
  function stop(error) {
    if (signal.aborted || leave(error)) return;
    problem = error;
    draw();
  }

  /** Shows the wait as it is now. @param {Wait} wait */
  function update(wait) {
    if (signal.aborted || (d && d.wait.status !== 'waiting' && wait.status === 'waiting')) return;
    const was = d?.wait.status;
    if (d) d.wait = wait;
    else d = deciding(wait, draw, send);
    const { output = {} } = wait.outcome ?? {};
    rest = [Object.keys(output).length ? part('Output', output) : nothing, wait.input ? part('Input', wait.input) : nothing, ids(wait)];
    if (was === 'waiting' && wait.status !== 'waiting') decided(d);
    if (was === undefined && wait.status !== 'waiting') readAftermath(wait);
    draw();
    if (was === undefined) main.querySelector('h1')?.focus({ preventScroll: true });
  }

  /** The wait has left waiting. @param {Deciding} decision */
  function decided(decision) {
    const { wait, draft, asks, sent } = decision;
    const isMine = decision.isOwnCancel || sent.some((body) => isOutcome(wait, body));
    isLate = !isMine && (draft.answer.isStarted || draft.reason !== '' || draft.cancelReason !== '' || asks !== null || sent.length > 0);
    Object.assign(decision, { asks: null, problem: '', again: null });
    asking = null;
    readAftermath(wait);
    if (isMine) setTimeout(() => signal.aborted || document.getElementById('verdict-head')?.focus());
    else alert(`${statuses[wait.status].word}: ${question(wait)}${isLate ? `. Your answer was not ${sent.length ? 'taken' : 'sent'}.` : ''}`);
  }

  /** @param {Wait} wait */
  async function readAftermath(wait) {
    const found = await aftermathOf(wait, signal);
    if (signal.aborted) return;
    aftermath = found;
    draw();
  }

  /** @param {'success' | 'fail'} result @param {string} body */
  async function send(result, body) {
    if (!d || d.sending) return;
    const decision = d;
    Object.assign(decision, { asks: null, sending: result, sent: [...decision.sent, body], problem: '', again: null, command: '' });
    draw();
    try {
      await callBack(decision.wait, body);
    } catch (error) {
      if (signal.aborted || leave(error)) return;
      if (isTransient(error)) {
        decision.problem = 'It is not known whether this arrived. Sending it again does no harm.';
        decision.again = () => send(result, body);
      } else {
        await refused(decision, /** @type {Error} */ (error));
      }
      decision.sending = null;
      draw();
      return;
    }
    await connection.persist(() => get(project, waitId, {}, signal), signal).then(update, stop);
    isLate = false; // also if somebody else had sent the same before
    decision.sending = null;
    draw();
  }

  /** The server did not take the decision: because somebody was faster, or because of what was sent. @param {Deciding} decision @param {Error} error */
  async function refused(decision, error) {
    if (error instanceof Refusal && [400, 404].includes(error.status)) {
      const wait = await get(project, waitId, {}, signal).catch(() => null);
      if (wait && wait.status !== 'waiting') return update(wait);
    }
    decision.sent.pop();
    decision.problem = decision.draft.answer.refuse(error.message) ? 'The server found something that is not right.' : error.message;
    alert(decision.problem);
  }

  /** @param {Wait} wait */
  function card(wait) {
    if (!d) return nothing;
    if (wait.status !== 'waiting') return isLate && !d.isOwnCancel ? lateCard(d, aftermath) : verdictCard(wait, aftermath);
    if (!may('callback')) return readOnlyCard();
    try {
      checkSendable(wait);
    } catch (error) {
      return unsendableCard(/** @type {Error} */ (error).message);
    }
    return decisionCard(d);
  }

  /** @param {Asking | null} what */
  function put(what) {
    asking = what;
    draw();
  }

  /** @param {Asking} what */
  const close = (what) => asking === what && put(null);

  function draw() {
    if (signal.aborted) return;
    const failing = connection.failing;
    drawFrame({ project, live: failing || problem ? 'off' : 'live' });
    main.className = 'page is-wait';
    if (!d) {
      document.title = 'Wait · Flowcallback';
      const seconds = failing && !problem ? secondsTo(failing) : undefined;
      const loading = now() - started < 200 ? nothing : html`<p class="muted" role="status">Loading the wait…</p>`;
      const place = { project, wait: waitId, seconds, retry: problem ? show : () => connection.tryNow() };
      render(problem || failing ? failed(problem ?? failing?.error, place) : loading, main);
      return;
    }
    const { wait } = d;
    const parts = [ask(wait, { failing, problem, tryNow: () => connection.tryNow() }), html`<div class="rest">${rest}</div>`, card(wait)];
    document.title = `${wait.status === 'waiting' ? '' : `${statuses[wait.status].word}: `}${question(wait)} · Flowcallback`;
    render(
      keyed(
        waitId,
        html`<div class="wait">${parts}</div>
          ${menu(d, { signal, changed: draw, update, put, close })}`,
      ),
      main,
    );
    showDialog(asking ? asking.template() : decisionDialog(d), () => (asking ? asking.back() : d && backFromDialog(d)));
  }

  const countdown = new Countdown();
  const ticker = setInterval(() => {
    if (!document.hidden) draw();
    if (d?.wait.status === 'waiting') countdown.tell(leftOf(d.wait));
  }, 1000);
  signal.addEventListener('abort', () => clearInterval(ticker));

  draw();
  scrollTo(0, 0);
  const following = new AbortController();
  const both = AbortSignal.any([signal, following.signal]);
  connection
    .follow(async (seconds) => {
      update(await get(project, waitId, { wait_seconds: d && seconds }, both));
      if (d?.wait.status !== 'waiting') following.abort();
      return false;
    }, both)
    .catch((error) => following.signal.aborted || stop(error));
}
