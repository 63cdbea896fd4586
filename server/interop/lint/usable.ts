// User code against the types that openapi-typescript generates from the contract. It must
// compile, and output must accept any object.
import type { components, operations } from "./callback";

type Request = components["schemas"]["CallbackRequest"];
type Headers = operations["createCallbackWorkflow"]["parameters"]["header"];

const output: Record<string, unknown> = { message: "success", result: 200, nested: { list: [1, 2.5, null] } };

export const success: Request = { result: "success", output };
export const literal: Request = { result: "success", output: { approved: true } };
export const bareFail: Request = { result: "fail", error: "payment declined", output: null };
export const headers: Headers = { "X-Workflow-Run-Id": "r", "X-Workflow-State-Id": "s" };

// @ts-expect-error: result is not in the contract's enumeration
export const unknownResult: Request = { result: "maybe", output };
// @ts-expect-error: output is mandatory
export const withoutOutput: Request = { result: "success" };
