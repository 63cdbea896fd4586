// Shows both OpenAPI documents. "Try it out" calls the server that serves this page.
window.addEventListener('DOMContentLoaded', () => {
  SwaggerUIBundle({
    dom_id: '#contract',
    urls: [
      { name: 'Calling back a flow', url: '/openapi/callback.yaml' },
      { name: 'The side that waits', url: '/openapi/waits.yaml' },
    ],
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    layout: 'StandaloneLayout',
    validatorUrl: null,
    queryConfigEnabled: false,
    tryItOutEnabled: true,
  });
});
