// Handing a wait over: a link with which somebody without an account can decide it.

import { html, nothing } from './lit/lit-html.js';
import { createLink, links, withdrawLink } from './api.js';
import * as icons from './icons.js';
import { fits, schema } from './limits.js';
import { copy } from './say.js';
import { leave } from './session.js';
import { question } from './status.js';
import { local, now, span } from './time.js';

/** @typedef {import('./api.js').Link} Link */
/** @typedef {import('./api.js').Wait} Wait */

/**
 * A handing over, which reads the links that there are.
 * @param {Wait} wait
 * @param {{signal: AbortSignal, changed: () => void, done: () => void}} owner
 */
export function handingOver(wait, { signal, changed, done }) {
  const state = {
    wait,
    to: '',
    url: '', // of the new link; nothing else has it
    isCopied: false,
    madeFor: '', // the name with which it was made
    isSending: false,
    problem: '',
    /** @type {Link[]} */
    links: [],
    back: done,
    /** @param {string} text */
    write(text) {
      state.to = text;
      changed();
    },
    /** @param {() => Promise<void>} act */
    async attempt(act) {
      if (state.isSending) return;
      state.isSending = true;
      state.problem = '';
      changed();
      try {
        await act();
        state.links = await links(wait, signal);
      } catch (error) {
        if (signal.aborted || leave(error)) return;
        state.problem = /** @type {Error} */ (error).message;
      }
      state.isSending = false;
      if (!signal.aborted) changed();
    },
    create() {
      const to = state.to.trim();
      if (to && !fits(schema('LinkName'), to)) return;
      state.attempt(async () => {
        const { url } = await createLink(wait, to);
        Object.assign(state, { url, madeFor: to, isCopied: false });
      });
    },
    /** @param {Link} link */
    withdraw: (link) => state.attempt(() => withdrawLink(wait, link)),
    async copy() {
      state.isCopied = await copy(state.url, 'Link');
      changed();
    },
  };
  links(wait, signal).then(
    (made) => {
      state.links = made;
      if (!signal.aborted) changed();
    },
    () => {},
  ); // making one says what is wrong
  return state;
}

/** @param {ReturnType<typeof handingOver>} state */
export function handOverDialog(state) {
  const { wait, to, url, isCopied, isSending, problem } = state;
  const limits = schema('LinkName');
  const isWrong = to.trim() !== '' && !fits(limits, to.trim());
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    state.create();
  };
  return html`<form class="ask-again" @submit=${submit}>
    <h2 id="ask">Hand over</h2>
    <div class="body">
      <p><strong>${question(wait)}</strong></p>
      <p>Whoever has the link can see this question and decide it, without an account, until it is decided. Give it to one person.</p>
    </div>
    ${url
      ? html`<div class="field">
          <label for="url">The link${state.madeFor ? ` for ${state.madeFor}` : ''}</label>
          <div class="with-button">
            <input
              id="url"
              readonly
              .value=${url}
              @focus=${(/** @type {Event} */ event) => /** @type {HTMLInputElement} */ (event.target).select()}
            /><button type="button" class="button" @click=${state.copy}>${icons.copy}${isCopied ? 'Copied' : 'Copy'}</button>
          </div>
          <p class="hint">
            <span>Copy it now: it is not shown again.</span>
          </p>
        </div>`
      : html`<div class="field">
          <label for="to">For whom <span class="optional">Optional</span></label>
          <input
            id="to"
            autocomplete="off"
            .value=${to}
            aria-invalid=${isWrong ? 'true' : nothing}
            aria-describedby="to-h"
            autofocus
            @input=${(/** @type {Event} */ event) => state.write(/** @type {HTMLInputElement} */ (event.target).value)}
          />
          <p class=${isWrong ? 'error' : 'hint'} id="to-h">
            ${isWrong ? `At most ${limits.maxLength} characters, and no # at the beginning` : 'The record will show this name.'}
          </p>
        </div>`}
    ${state.links.length ? linksOf(state) : nothing} ${problem ? html`<p class="error" role="alert">${problem}</p>` : nothing}
    <div class="buttons">
      <button type="button" class="button" @click=${state.back}>${url ? 'Done' : 'Back'}</button>
      ${url ? nothing : html`<button class="button primary" aria-disabled=${isSending || isWrong}>Make a link</button>`}
    </div>
  </form>`;
}

/** @param {ReturnType<typeof handingOver>} state */
const linksOf = (state) =>
  html`<div>
    <h3 class="muted">Links that work</h3>
    <ul class="links">
      ${state.links.map((link) => {
        const name = link.to ?? `Link ${link.link_id}`;
        return html`<li>
          <span
            >${name}
            <span class="muted small">made ${span(Math.max(0, now() - Date.parse(link.created_at)))} ago, until ${local(link.expires_at)}</span></span
          ><button type="button" class="link" aria-label="Withdraw the link for ${name}" @click=${() => state.withdraw(link)}>Withdraw</button>
        </li>`;
      })}
    </ul>
  </div>`;
