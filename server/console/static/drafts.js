// What was written on the pages of this tab and not sent, so that leaving a page or signing in again loses nothing.

import { Answer } from './answer.js';
import { me } from './store.js';

/** @typedef {{answer: Answer, reason: string, cancelReason: string}} Draft */

const most = 50;

/** By person and wait, the last used at the end. @type {Map<string, Draft>} */
const drafts = new Map();

/** @param {Draft} draft */
const isEmpty = ({ answer, reason, cancelReason }) => !answer.isStarted && !reason && !cancelReason;

/** What was written for a wait by who is signed in. @param {import('./api.js').Wait} wait @returns {Draft} */
export function draftOf(wait) {
  const key = JSON.stringify([me()?.name, wait.project_id, wait.wait_id]);
  const draft = drafts.get(key) ?? { answer: new Answer(wait.output_schema), reason: '', cancelReason: '' };
  drafts.delete(key);
  for (const [old, kept] of drafts) if (isEmpty(kept)) drafts.delete(old);
  if (drafts.size >= most) drafts.delete([...drafts.keys()][0]);
  drafts.set(key, draft);
  return draft;
}
