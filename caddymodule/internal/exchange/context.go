package exchange

import "context"

// priorityKey is the context key for calls with priority.
type priorityKey struct{}

// WithPriority returns a copy of ctx for further calls of an exchange that has already
// called the service.
func WithPriority(ctx context.Context) context.Context {
	return context.WithValue(ctx, priorityKey{}, true)
}

// HasPriority reports whether a call belongs to an exchange that has already called the
// service. Such a call takes precedence over the first calls of other exchanges. If it
// had to wait behind them, the work done for it would be lost.
func HasPriority(ctx context.Context) bool { return ctx.Value(priorityKey{}) != nil }

// userContextKey is the context key for the user of a call.
type userContextKey struct{}

// WithUser returns a copy of ctx for calls that are made for user.
func WithUser(ctx context.Context, user UserKey) context.Context {
	return context.WithValue(ctx, userContextKey{}, user)
}

// UserFrom returns the user for whom a call is made. It is empty if ctx contains none.
func UserFrom(ctx context.Context) UserKey {
	user, _ := ctx.Value(userContextKey{}).(UserKey)
	return user
}
