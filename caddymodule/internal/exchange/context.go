package exchange

import "context"

// continuing is the key of contexts of calls that go on with an exchange which
// has called already.
type continuing struct{}

func goesOn(ctx context.Context) context.Context {
	return context.WithValue(ctx, continuing{}, true)
}

// Continues reports whether a call goes on with an exchange that has called
// already. What was done for it would be lost if it had to wait behind those
// that only begin.
func Continues(ctx context.Context) bool { return ctx.Value(continuing{}) != nil }

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
