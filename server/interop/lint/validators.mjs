// Serves the callback with three validators of others in front: express-openapi-validator, openapi-backend and Prism,
// whose mock server runs at the given address. Each answers what the contract allows with 404, because it knows no
// state, and the rest with 400. It prints their addresses.
import { createServer, request as send } from 'node:http';
import express from 'express';
import * as OpenApiValidator from 'express-openapi-validator';
import { OpenAPIBackend } from 'openapi-backend';
import { readFileSync } from 'node:fs';

const document = JSON.parse(readFileSync('../../../openapi/published/callback.json', 'utf8'));
document.servers = [{ url: '/' }];
document.security = []; // credentials are not what this is about

const answer = (response, status, code) => {
  response.writeHead(status, { 'Content-Type': 'application/json', 'X-Request-Id': '4711' });
  response.end(JSON.stringify({ error_code: code, error_msg: 'no', request_id: '4711' }));
};
const unknown = (response) => answer(response, 404, 'FGS.5002');
const refuse = (response, status) => {
  if (status === 404) answer(response, 404, 'APIGW.0101');
  else if (status === 405 || status === 415) answer(response, status, status === 405 ? 'FLOWCALLBACK.METHOD' : 'FLOWCALLBACK.MEDIA_TYPE');
  else answer(response, 400, 'FGS.3002');
};

const app = express();
app.use(express.json({ strict: false }));
app.use(OpenApiValidator.middleware({ apiSpec: structuredClone(document), validateRequests: true, validateSecurity: false, validateResponses: false }));
app.post('/v2/:project/fgs/workflows/:workflow/callback', (_, response) => unknown(response));
app.use((error, _request, response, _next) => refuse(response, error.status));

const backend = new OpenAPIBackend({
  definition: structuredClone(document),
  ajvOpts: { strict: false },
  handlers: {
    createCallbackWorkflow: (_context, _request, response) => unknown(response),
    validationFail: (_context, _request, response) => refuse(response, 400),
    notFound: (_context, _request, response) => refuse(response, 404),
    methodNotAllowed: (_context, _request, response) => refuse(response, 405),
  },
});
await backend.init();

const plain = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const { method, url: path, headers } = request;
    backend.handleRequest({ method, path, headers, body: Buffer.concat(chunks).toString() }, request, response);
  });
});

const relay = createServer((request, response) => {
  const { method, url: path, rawHeaders } = request;
  const asked = send(new URL(path, process.argv[2]), { method, headers: ['X-Auth-Token', 'any', ...rawHeaders] }, (answer) => {
    answer.resume();
    if (answer.statusCode < 400) unknown(response);
    else refuse(response, answer.statusCode);
  });
  asked.on('error', () => refuse(response, 400));
  request.pipe(asked);
});

for (const [name, server] of [['express-openapi-validator', createServer(app)], ['openapi-backend', plain], ['prism', relay]]) {
  server.listen(0, '127.0.0.1', () => console.log(`${name} http://127.0.0.1:${server.address().port}`));
}
