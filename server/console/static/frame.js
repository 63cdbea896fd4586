// The frame of all pages: where one is, which project, who one is.

import { html, nothing, render } from './lit/lit-html.js';
import { root } from './api.js';
import * as icons from './icons.js';
import { address, go, isAddressable } from './router.js';
import { shortId } from './status.js';
import { anyProject, letterKeys, may, me, projects, setLetterKeys, signInNeeded } from './store.js';

const place = /** @type {HTMLElement} */ (document.getElementById('frame'));

/** What the principal may do, for people. */
function rights() {
  const can = [may('callback') && 'decide waits', may('wait') && 'open, move or cancel them'].filter(Boolean);
  return can.length ? `May ${can.join(', and ')}.` : 'May do nothing.';
}

/** Opens the project whose id was typed into a form, its only field. @param {SubmitEvent} event */
export function openProject(event) {
  event.preventDefault();
  const field = /** @type {HTMLInputElement} */ (/** @type {HTMLFormElement} */ (event.target).querySelector('input'));
  const project = field.value.trim();
  field.setCustomValidity(isAddressable(project) ? '' : 'A browser cannot open a project with this id');
  if (field.reportValidity() && project) go(address(project));
}

/** @param {string} current */
function projectMenu(current) {
  const all = projects().includes(current) ? projects() : [current, ...projects()];
  return html`<div id="projects" class="pop" popover>
    <h2>Project</h2>
    ${all.map(
      (project) =>
        html`<a class="item" href=${address(project)} aria-current=${project === current ? 'true' : nothing}
          ><span class="tick">${project === current ? icons.yes : nothing}</span>${shortId(project)}</a
        >`,
    )}
    ${anyProject()
      ? html`<hr />
          <form class="other" novalidate @submit=${openProject}>
            <label class="unseen" for="other-project">Another project</label>
            <input id="other-project" placeholder="Another project" required autocomplete="off" spellcheck="false" />
          </form>`
      : nothing}
  </div>`;
}

/** @param {string} project */
function myMenu(project) {
  const toggleKeys = () => {
    setLetterKeys(!letterKeys());
    redraw();
  };
  return html`<div id="me" class="pop" popover>
    <p>
      ${me()?.name
        ? html`Signed in as <strong>${me()?.name}</strong><br /><span class="muted">${rights()}</span>`
        : html`This server asks for no sign-in.<br /><span class="muted">Whoever can reach it may decide.</span>`}
    </p>
    <hr />
    ${project ? html`<button type="button" class="item only-narrow" popovertarget="projects">Project ${shortId(project)}</button>` : nothing}
    <button type="button" class="item keys-item" aria-pressed=${letterKeys()} @click=${toggleKeys}>
      Letter keys in lists${letterKeys() ? icons.yes : nothing}
    </button>
    ${signInNeeded ? html`<button type="button" class="item" @click=${() => dispatchEvent(new Event('signout'))}>Sign out</button>` : nothing}
  </div>`;
}

/** @typedef {{project?: string, live?: 'live' | 'off' | '', isDocs?: boolean}} Frame */

/** @type {Frame | null} */
let drawn = null;

function redraw() {
  drawFrame(drawn);
}

/** Draws the frame; null draws none. @param {Frame | null} frame */
export function drawFrame(frame) {
  drawn = frame;
  if (!frame) {
    render(nothing, place);
    return;
  }
  const { project = '', live = '', isDocs = false } = frame;
  const home = project ? address(project) : new URL('console/', root).pathname;
  render(
    html`<header class="top">
      <div class="top-in">
        <a class="brand shrinks" href=${home} aria-label="Flowcallback">${icons.brand}<span>Flowcallback</span></a>
        <nav class="places" aria-label="Places">
          <a href=${home} aria-current=${isDocs ? nothing : 'page'}>Waits</a>
          <a href=${new URL('docs/', root).pathname} aria-current=${isDocs ? 'page' : nothing}>API</a>
        </nav>
        <div class="top-end">
          ${live
            ? html`<span
                class="live ${live === 'off' ? 'off' : ''}"
                title=${live === 'off' ? 'The server does not answer' : 'Changes appear here as they happen'}
                ><span>${live === 'off' ? 'Offline' : 'Live'}</span></span
              >`
            : nothing}
          ${project && me()
            ? html`<button type="button" class="button plain project" popovertarget="projects" aria-label="Project ${project}">
                ${shortId(project)}${icons.down}
              </button>`
            : nothing}
          ${me()
            ? html`<button type="button" class="button plain me" popovertarget="me">
                ${icons.person}<span class="name">${me()?.name ?? 'No sign-in'}</span>
              </button>`
            : nothing}
        </div>
      </div>
      ${project && me() ? projectMenu(project) : nothing} ${me() ? myMenu(project) : nothing}
    </header>`,
    place,
  );
}
