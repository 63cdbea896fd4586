// Shows one of the two OpenAPI documents in the frame of the console. "Try it out" calls the server
// that serves this page.

import { whoami } from '../static/api.js';
import { drawFrame } from '../static/frame.js';
import { lastProject, setMe, setToken, signInNeeded, token } from '../static/store.js';

const documents = /** @type {{[name: string]: string}} */ ({
  callback: '../openapi/callback.yaml',
  waits: '../openapi/waits.yaml',
});

/** Shows the document that the address names. */
function show() {
  const name = Object.hasOwn(documents, location.hash.slice(1)) ? location.hash.slice(1) : 'callback';
  for (const link of document.querySelectorAll('.side a')) {
    if (link.getAttribute('href') === `#${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const { SwaggerUIBundle } = /** @type {any} */ (window);
  const ui = SwaggerUIBundle({
    dom_id: '#contract',
    url: documents[name],
    presets: [SwaggerUIBundle.presets.apis],
    layout: 'BaseLayout',
    validatorUrl: null,
    queryConfigEnabled: false,
    tryItOutEnabled: true,
    onComplete: () => ui.oas3Actions.setSelectedServer('/'), // the first one is for other tools
  });
}

const dark = matchMedia('(prefers-color-scheme: dark)');
const follow = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', follow);
follow();

drawFrame({ isDocs: true });
addEventListener('hashchange', show);
show();

if (!signInNeeded || token()) {
  try {
    setMe(await whoami());
  } catch {
    // The page shows the same without a name.
  }
  drawFrame({ isDocs: true, project: lastProject() });
}

addEventListener('signout', () => {
  setToken('');
  location.assign('../console/');
});
