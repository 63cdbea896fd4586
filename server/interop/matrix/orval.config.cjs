// Orval writes the address of the server into the code.
const one = (name) => ({
  input: `../../../openapi/published/${name}.json`,
  output: {
    target: `generated/orval/${name}.ts`, client: 'fetch', headers: true, baseUrl: process.env.ENDPOINT,
  },
});
module.exports = { callback: one('callback'), waits: one('waits') };
