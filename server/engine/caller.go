package engine

import "context"

type callerKey struct{}

// WithCaller returns a ctx in which a call is made by whom the operator calls so. Engines
// store it with the outcome that the call brings.
func WithCaller(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, callerKey{}, name)
}

// CallerOf returns who makes the call, empty where callers prove nothing.
func CallerOf(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}
