package temporal

// Refusal exports refusal for tests.
var Refusal = refusal
