// Pages that have no data to show: what is the case, why, and what to do.

import { html, nothing } from './lit/lit-html.js';
import { Refusal, Unreachable } from './api.js';
import { openProject } from './frame.js';
import * as icons from './icons.js';
import { address } from './router.js';
import { shortId } from './status.js';
import { anyProject, lastProject, mayUse, me, signInNeeded } from './store.js';

/**
 * @param {{icon: unknown, title: unknown, text: unknown, buttons?: unknown, code?: string, level?: 1 | 2, more?: unknown}} parts
 */
export function blank({ icon, title, text, buttons, code, level = 1, more }) {
  return html`<div class="blank">
    ${icon} ${level === 1 ? html`<h1 class="blank-title" tabindex="-1">${title}</h1>` : html`<h2>${title}</h2>`}
    <p>${text}</p>
    ${more} ${buttons ? html`<p class="buttons">${buttons}</p>` : nothing} ${code ? html`<p class="small code-line">${code}</p>` : nothing}
  </div>`;
}

/** @param {string} project */
export function denied(project) {
  const other = lastProject();
  return blank({
    icon: icons.lock,
    title: 'You may not see this project',
    text: html`You are signed in as <strong>${me()?.name}</strong>, who has no permission for ${shortId(project)}, or the project does not exist. Ask
      whoever runs this server.`,
    buttons: html`${other && other !== project
      ? html`<a class="button primary" href=${address(other)}>Go to my project</a>`
      : nothing}${signOutButton('Sign in as somebody else')}`,
  });
}

/** For somebody who may call flows back, and not look at waits. */
export const mayNotSee = () =>
  blank({
    icon: icons.lock,
    title: 'You may not see what waits',
    text: html`You are signed in as <strong>${me()?.name}</strong>, who may call flows back, but not list or read waits: that needs the permission
      <code>wait</code>. A link to a question needs none.`,
    buttons: signOutButton('Sign in as somebody else'),
  });

export const noList = () =>
  blank({
    icon: icons.tray,
    title: 'This engine keeps no list of waits',
    text: html`${me()?.engine ?? 'The engine behind this server'} takes callbacks, and cannot say what waits. Calling a flow back works as the API
    says; whoever opened a wait knows its ids.`,
    buttons: html`<a class="button" href=${new URL('../docs/', import.meta.url).href}>The API</a>`,
  });

/** @param {string} project @param {string} waitId */
export const missing = (project, waitId) =>
  blank({
    icon: icons.find,
    title: 'No such wait in this project',
    text: html`The address may be incomplete, or the wait is older than this server keeps: ${shortId(waitId)}`,
    buttons: html`<a class="button primary" href=${address(project)}>All waits</a>`,
  });

/** @param {string} label */
export const signOutButton = (label) =>
  signInNeeded ? html`<button type="button" class="button" @click=${() => dispatchEvent(new Event('signout'))}>${label}</button>` : nothing;

/**
 * What an error means for a page that has nothing else to show.
 * @param {unknown} error
 * @param {{project: string, wait?: string, seconds?: number, retry: () => void, level?: 1 | 2}} place
 */
export function failed(error, { project, wait, seconds, retry, level }) {
  const again = html`<button type="button" class="button" @click=${retry}>Try now</button>`;
  const when = seconds === undefined ? '' : `Trying again in ${seconds} s.`;
  if (error instanceof Unreachable) {
    return blank({ icon: icons.offline, title: error.message, text: `Check the network. ${when}`, buttons: again, level });
  }
  if (!(error instanceof Refusal)) {
    return blank({ icon: icons.note, title: 'This page does not work', text: /** @type {Error} */ (error).message, buttons: again, level });
  }
  const code = `${error.code}${error.requestId ? ` · request ${error.requestId}` : ''}`;
  if (error.status === 403) return mayUse(project) ? mayNotSee() : denied(project);
  if (error.status === 404 && wait !== undefined) return missing(project, wait);
  if (error.status === 400 || error.status === 501) {
    return blank({
      icon: icons.find,
      title: 'The server does not take this address',
      text: error.message,
      code,
      level,
    });
  }
  return blank({
    icon: icons.offline,
    title: 'The server cannot answer now',
    text: html`${error.message} ${when}`,
    buttons: again,
    code,
    level,
  });
}

export function chooseProject() {
  if (!anyProject()) {
    return blank({
      icon: icons.lock,
      title: 'You have no project',
      text: 'Your credentials are for no project. Ask whoever runs this server.',
      buttons: signOutButton('Sign in as somebody else'),
    });
  }
  return html`<div class="signin">
    <header>
      <h1>Which project?</h1>
      <p class="muted">A project id is part of every address of the API, and says whose flows they are.</p>
    </header>
    <form novalidate @submit=${openProject}>
      <div class="field"><label for="which">Project id</label><input id="which" required autocomplete="off" spellcheck="false" autofocus /></div>
      <button class="button primary tall">Show its waits</button>
    </form>
  </div>`;
}
