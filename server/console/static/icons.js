// The icons, 16 by 16. Each stands beside a word, so none is read out.

import { html, svg } from './lit/lit-html.js';

/** @param {unknown} shapes */
const icon = (shapes) => html`<svg viewBox="0 0 16 16" aria-hidden="true">${shapes}</svg>`;

export const brand = icon(svg`
  <path d="M5.5 6.5 2.5 9.5l3 3" />
  <path d="M2.5 9.5h7.5a3 3 0 0 0 0-6H7.5" />
`);
export const yes = icon(svg`<path d="m3 8.5 3.25 3.25L13 5" />`);
export const no = icon(svg`<path d="m4 4 8 8M12 4l-8 8" />`);
export const back = icon(svg`<path d="m10 4-4 4 4 4" />`);
export const next = icon(svg`<path d="m6 4 4 4-4 4" />`);
export const down = icon(svg`<path d="m4.5 6.5 3.5 3.5 3.5-3.5" />`);
export const person = icon(svg`
  <circle cx="8" cy="5.5" r="2.5" />
  <path d="M3 13.25c.6-2.5 2.6-3.75 5-3.75s4.4 1.25 5 3.75" />
`);
export const find = icon(svg`
  <circle cx="7" cy="7" r="4.25" />
  <path d="m10.25 10.25 3 3" />
`);
export const copy = icon(svg`
  <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
  <path d="M10.5 5.5v-2a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h2" />
`);
export const more = icon(svg`<path d="M3.5 8h.01M8 8h.01M12.5 8h.01" stroke-width="2.25" />`);
export const tray = icon(svg`<path d="M2.5 9.5h3l1 1.75h3l1-1.75h3M2.5 9.5l2-6h7l2 6v3.5h-11z" />`);
export const lock = icon(svg`
  <rect x="3.5" y="7" width="9" height="6.25" rx="1.25" />
  <path d="M5.5 7V5a2.5 2.5 0 0 1 5 0v2" />
`);
export const offline = icon(svg`<path d="m2 2 12 12M4.7 5.4A4 4 0 0 0 4.5 13H11M6.6 4.2A4 4 0 0 1 11.5 7a3 3 0 0 1 2 4.6" />`);
export const note = icon(svg`
  <circle cx="8" cy="8" r="5.75" />
  <path d="M8 7.5v3.25M8 5.25v.01" />
`);
export const clock = icon(svg`
  <circle cx="8" cy="8" r="5.75" />
  <path d="M8 4.75V8l2 1.5" />
`);
export const alarm = icon(svg`
  <path d="M8 2.25 14.25 13H1.75z" />
  <path d="M8 6.5v3M8 11.25v.01" />
`);
export const waiting = icon(svg`<circle cx="8" cy="8" r="5.25" stroke-dasharray="2.6 1.7" />`);
export const approved = icon(svg`
  <circle cx="8" cy="8" r="5.75" />
  <path d="m5.5 8.25 1.75 1.75L10.5 6.5" />
`);
export const rejected = icon(svg`
  <circle cx="8" cy="8" r="5.75" />
  <path d="m6 6 4 4M10 6l-4 4" />
`);
export const cancelled = icon(svg`
  <circle cx="8" cy="8" r="5.75" />
  <path d="m4.25 11.75 7.5-7.5" />
`);
