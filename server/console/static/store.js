// What the console remembers: who is signed in and where, in this tab and in this browser.

/** @typedef {import('./api.js').Principal} Principal */

const most = 8; // projects to offer again

let given = sessionStorage.getItem('token') ?? '';

/** The token of this tab, or ''. */
export const token = () => given;

/** @param {string} text */
export function setToken(text) {
  given = text;
  if (text) sessionStorage.setItem('token', text);
  else sessionStorage.removeItem('token');
}

/** Whether the server wants credentials, as its page says. */
export const signInNeeded = document.querySelector('meta[name="sign-in"]')?.getAttribute('content') === 'needed';

/** @type {Principal | undefined} */
let principal;

/** Who is signed in; undefined before the server said so. */
export const me = () => principal;

/** @param {Principal | undefined} who */
export function setMe(who) {
  principal = who;
}

/** @param {'callback' | 'wait'} action */
export const may = (action) => principal?.allow.includes(action) ?? false;

/** Whether the engine behind the server has a group of operations. @param {string} group */
export const offers = (group) => principal?.offers?.includes(group) ?? false;

/** @param {string} project */
export const mayUse = (project) => principal?.projects.some((p) => p === '*' || p === project) ?? false;

/** The projects to choose from: those of the principal, or those that were used here. */
export function projects() {
  const own = principal?.projects ?? [];
  return own.includes('*') ? recent() : own;
}

/** Whether the principal may use any project. */
export const anyProject = () => principal?.projects.includes('*') ?? false;

/** @returns {string[]} */
function recent() {
  try {
    return JSON.parse(localStorage.getItem('projects') ?? '[]');
  } catch {
    return [];
  }
}

/** Remembers a project as the last that was used. @param {string} project */
export function remember(project) {
  localStorage.setItem('projects', JSON.stringify([project, ...recent().filter((p) => p !== project)].slice(0, most)));
}

/** The project to begin with, or undefined. */
export const lastProject = () => recent().find(mayUse) ?? projects()[0];

/** Whether single letters are commands in lists. */
export const letterKeys = () => localStorage.getItem('letter keys') !== 'off';

/** @param {boolean} on */
export const setLetterKeys = (on) => localStorage.setItem('letter keys', on ? 'on' : 'off');
