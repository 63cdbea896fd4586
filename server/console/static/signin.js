// The page that asks for a token.

import { html, nothing, render } from './lit/lit-html.js';
import { Refusal, Unreachable, whoami } from './api.js';
import { drawFrame } from './frame.js';
import * as icons from './icons.js';
import { setMe, setToken } from './store.js';

const main = /** @type {HTMLElement} */ (document.getElementById('main'));

/** @param {unknown} error */
function explain(error) {
  if (error instanceof Unreachable) return `${error.message}. Check the network and try again.`;
  if (!(error instanceof Refusal)) return /** @type {Error} */ (error).message;
  if (error.status === 401) return 'This server does not know that token. Check that you copied all of it.';
  if (error.status === 429) return `There were too many attempts. Try again in ${error.retryAfter || 10} seconds.`;
  return error.message;
}

/**
 * Asks for a token until the server knows it, and then calls done.
 * @param {() => void} done
 * @param {AbortSignal} signal
 */
export function showSignIn(done, signal) {
  document.title = 'Sign in · Flowcallback';
  main.className = 'signin';
  drawFrame(null);
  let problem = '';
  let isBusy = false;
  let isShown = false;

  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    const field = /** @type {HTMLInputElement} */ (main.querySelector('#token'));
    if (isBusy) return;
    isBusy = true;
    setToken(field.value.trim());
    draw();
    try {
      const principal = await whoami(signal);
      if (signal.aborted) return;
      setMe(principal);
      done();
    } catch (error) {
      if (signal.aborted) return;
      setToken('');
      problem = explain(error);
      isBusy = false;
      draw();
      field.focus();
      field.select();
    }
  };
  const reveal = () => {
    isShown = !isShown;
    draw();
  };

  function draw() {
    render(
      html`<p class="brand">${icons.brand}<span>Flowcallback</span></p>
        <header>
          <h1>Sign in</h1>
          <p class="muted">to <strong class="strong">${location.host}</strong></p>
        </header>
        <form @submit=${submit}>
          <div class="field">
            <label for="token">Access token</label>
            <div class="with-button">
              <input
                id="token"
                name="token"
                type=${isShown ? 'text' : 'password'}
                required
                autocomplete="current-password"
                spellcheck="false"
                aria-invalid=${problem ? 'true' : nothing}
                aria-describedby="token-e token-h"
              /><button type="button" class="button" aria-pressed=${isShown} @click=${reveal}>Show</button>
            </div>
            <p class="error" id="token-e" role="alert">${problem}</p>
            <p class="hint" id="token-h">Kept in this tab until you close it or sign out.</p>
          </div>
          <button class="button primary tall" aria-disabled=${isBusy}>${isBusy ? 'Signing in…' : 'Sign in'}</button>
        </form>
        <p class="small muted">
          You get a token from whoever runs this server. Were you sent a link to one question? Open that link; it needs no token.
        </p>`,
      main,
    );
  }
  draw();
  /** @type {HTMLElement} */ (main.querySelector('#token')).focus();
}
