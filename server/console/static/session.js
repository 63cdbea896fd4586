// Signing in and out.

import { Refusal } from './api.js';
import { show } from './router.js';
import { setMe, setToken } from './store.js';

/** Forgets who is signed in, and asks again. */
export function signOut() {
  setToken('');
  setMe(undefined);
  show();
}

/** Signs out if an error says that the credentials are not valid any more, and returns whether it does. @param {unknown} error */
export function leave(error) {
  const isOver = error instanceof Refusal && error.status === 401;
  if (isOver) signOut();
  return isOver;
}
