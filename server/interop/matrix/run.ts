// What each generated client is asked to do, and what it prints of it.

export interface Key { project: string; workflow: string; run: string; state: string }

export type Outcome = { result: 'success' | 'fail'; error?: string; output: Record<string, unknown> };

// A Client does two operations with generated code. callBack returns the id of the execution, or throws a Refused.
export interface Client {
  open(key: Key): Promise<string>;
  callBack(key: Key, outcome: Outcome): Promise<string>;
}

// Refused is an answer with an error, as the generated code gave it.
export class Refused extends Error {
  constructor(readonly body: { error_code: string; error_msg: string }) {
    super(body.error_msg);
  }
}

const given = (name: string): string => process.env[name] ?? '';

export const endpoint = given('ENDPOINT');

async function settle(client: Client, key: Key): Promise<boolean> {
  const opened = await client.open(key);
  return await client.callBack(key, { result: 'success', output: { message: 'done', amount: 12.5 } }) === opened;
}

async function report(client: Client): Promise<void> {
  const key = { project: given('PROJECT'), workflow: given('WORKFLOW'), run: given('RUN'), state: given('STATE') };
  const settled = await settle(client, key);
  let code = 'none';
  try {
    await client.callBack(key, { result: 'fail', error: 'another outcome', output: {} });
  } catch (e) {
    code = e instanceof Refused ? e.body.error_code : String(e);
  }
  const escapes = await settle(client, { ...key, workflow: 'order/approval 1?' }).catch(() => false);
  console.log(JSON.stringify({ settled, code, escapes }));
}

export function run(client: Client): void {
  report(client).catch((e: unknown) => { console.error(e); process.exitCode = 1; });
}
