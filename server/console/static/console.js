// The console: which page an address shows, and to whom.

import { html, render } from './lit/lit-html.js';
import { Refusal, whoami } from './api.js';
import { chooseProject, denied, failed, mayNotSee, noList } from './blank.js';
import { Connection, secondsTo } from './follow.js';
import { drawFrame } from './frame.js';
import { loadLimits } from './limits.js';
import { showList } from './list.js';
import { address, go, show, start } from './router.js';
import { signOut } from './session.js';
import { showSignIn } from './signin.js';
import { lastProject, may, mayUse, me, offers, remember, setMe, setToken, signInNeeded, token } from './store.js';
import { showWait } from './wait.js';

/** @typedef {import('./router.js').Place} Place */

const main = /** @type {HTMLElement} */ (document.getElementById('main'));
let isReady = false; // the limits are known

/** @param {unknown} page @param {string} title @param {Place} place */
function fill(page, title, place) {
  document.title = `${title} · Flowcallback`;
  main.className = 'page';
  drawFrame({ project: place.project });
  render(html`${page}`, main);
}

/** Learns who is signed in, and the limits; then shows the place. @param {Place} place @param {AbortSignal} signal */
async function begin(place, signal) {
  if (signInNeeded && !token()) return showSignIn(() => begin(place, signal), signal);
  const connection = new Connection(() => {
    if (!connection.failing) return;
    fill(
      failed(connection.failing.error, {
        project: place.project,
        seconds: secondsTo(connection.failing),
        retry: () => connection.tryNow(),
      }),
      'Not reached',
      place,
    );
  });
  try {
    await connection.persist(async () => {
      if (!isReady) await loadLimits();
      if (!me()) setMe(await whoami(signal));
    }, signal);
    isReady = true;
    show();
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof Refusal && error.status === 401) {
      setToken('');
      showSignIn(() => begin(place, signal), signal);
    } else {
      fill(failed(error, { project: place.project, retry: show }), 'Error', place);
    }
  }
}

start((place, signal) => {
  const { project, wait, query } = place;
  if (!isReady || !me()) {
    begin(place, signal);
  } else if (!project) {
    const last = lastProject();
    if (last) go(address(last), { replace: true });
    else fill(chooseProject(), 'Which project?', place);
  } else if (query.has('project')) {
    go(address(project, '', { status: query.get('status') ?? '' }), {
      replace: true,
    }); // as addresses were once
  } else if (!mayUse(project)) {
    fill(denied(project), 'Not permitted', place);
  } else if (!may('wait')) {
    fill(mayNotSee(), 'Not permitted', place);
  } else if (!offers('read')) {
    fill(noList(), 'No list', place);
  } else {
    remember(project);
    if (wait) showWait(place, signal);
    else showList(place, signal);
  }
});

addEventListener('signout', signOut);
