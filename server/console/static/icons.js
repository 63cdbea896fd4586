// The icons, 16 by 16. Each stands beside a word, so none is read out.

import { html } from './lit/lit-html.js';

export const brand = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <path d="M5.5 6.5 2.5 9.5l3 3" />
  <path d="M2.5 9.5h7.5a3 3 0 0 0 0-6H7.5" />
</svg>`;
export const yes = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <path d="m3 8.5 3.25 3.25L13 5" />
</svg>`;
export const no = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <path d="m4 4 8 8M12 4l-8 8" />
</svg>`;
export const back = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <path d="m10 4-4 4 4 4" />
</svg>`;
export const next = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <path d="m6 4 4 4-4 4" />
</svg>`;
export const down = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <path d="m4.5 6.5 3.5 3.5 3.5-3.5" />
</svg>`;
export const person = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <circle cx="8" cy="5.5" r="2.5" />
  <path d="M3 13.25c.6-2.5 2.6-3.75 5-3.75s4.4 1.25 5 3.75" />
</svg>`;
export const find = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <circle cx="7" cy="7" r="4.25" />
  <path d="m10.25 10.25 3 3" />
</svg>`;
export const copy = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
  <path d="M10.5 5.5v-2a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h2" />
</svg>`;
export const more = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <path d="M3.5 8h.01M8 8h.01M12.5 8h.01" stroke-width="2.25" />
</svg>`;
export const tray = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <path d="M2.5 9.5h3l1 1.75h3l1-1.75h3M2.5 9.5l2-6h7l2 6v3.5h-11z" />
</svg>`;
export const lock = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <rect x="3.5" y="7" width="9" height="6.25" rx="1.25" />
  <path d="M5.5 7V5a2.5 2.5 0 0 1 5 0v2" />
</svg>`;
export const offline = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <path d="m2 2 12 12M4.7 5.4A4 4 0 0 0 4.5 13H11M6.6 4.2A4 4 0 0 1 11.5 7a3 3 0 0 1 2 4.6" />
</svg>`;
export const note = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <circle cx="8" cy="8" r="5.75" />
  <path d="M8 7.5v3.25M8 5.25v.01" />
</svg>`;
export const clock = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <circle cx="8" cy="8" r="5.75" />
  <path d="M8 4.75V8l2 1.5" />
</svg>`;
export const alarm = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <path d="M8 2.25 14.25 13H1.75z" />
  <path d="M8 6.5v3M8 11.25v.01" />
</svg>`;
export const waiting = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <circle cx="8" cy="8" r="5.25" stroke-dasharray="2.6 1.7" />
</svg>`;
export const approved = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <circle cx="8" cy="8" r="5.75" />
  <path d="m5.5 8.25 1.75 1.75L10.5 6.5" />
</svg>`;
export const rejected = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <circle cx="8" cy="8" r="5.75" />
  <path d="m6 6 4 4M10 6l-4 4" />
</svg>`;
export const cancelled = html`<svg viewBox="0 0 16 16" aria-hidden="true">
  <circle cx="8" cy="8" r="5.75" />
  <path d="m4.25 11.75 7.5-7.5" />
</svg>`;
