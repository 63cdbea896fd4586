package temporal

// Refusal is refusal, for tests.
var Refusal = refusal
