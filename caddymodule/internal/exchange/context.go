package exchange

import "context"

// priorityKey is the key of contexts of calls with priority.
type priorityKey struct{}

// WithPriority returns a copy of ctx for the further calls of an exchange that has
// called the service already.
func WithPriority(ctx context.Context) context.Context {
	return context.WithValue(ctx, priorityKey{}, true)
}

// HasPriority reports whether a call belongs to an exchange that has called the
// service already. Such a call goes before those of exchanges that only begin: what
// was done for it would be lost if it had to wait behind them.
func HasPriority(ctx context.Context) bool { return ctx.Value(priorityKey{}) != nil }

// userContextKey is the key of contexts of calls for one user.
type userContextKey struct{}

// WithUser returns a copy of ctx for calls that are made for user.
func WithUser(ctx context.Context, user UserKey) context.Context {
	return context.WithValue(ctx, userContextKey{}, user)
}

// UserFrom returns the user for whom a call is made, empty if ctx names none.
func UserFrom(ctx context.Context) UserKey {
	user, _ := ctx.Value(userContextKey{}).(UserKey)
	return user
}
