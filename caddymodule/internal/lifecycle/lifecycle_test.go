package lifecycle_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/lifecycle"
)

// value is a value of a pool that counts its destructions.
type value struct{ destroyed int }

func (v *value) Destruct() error {
	v.destroyed++
	return nil
}

func TestCleanups(t *testing.T) {
	var (
		c     lifecycle.Cleanups
		order []int
	)
	for i := range 3 {
		c.Add(func() { order = append(order, i) })
	}
	c.Run()
	c.Run()
	if !slices.Equal(order, []int{2, 1, 0}) {
		t.Errorf("order %v", order)
	}
}

// TestFromPool checks that a value lives until the last who has taken it releases it, as
// over a reload.
func TestFromPool(t *testing.T) {
	pool := caddy.NewUsagePool()
	made := 0
	take := func(c *lifecycle.Cleanups) *value {
		v, err := lifecycle.FromPool[*value](c, pool, "key", func() (caddy.Destructor, error) { made++; return new(value), nil })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var before, after lifecycle.Cleanups
	v := take(&before)
	if take(&after) != v || made != 1 {
		t.Fatalf("%d values were made", made)
	}
	before.Run()
	if v.destroyed != 0 {
		t.Error("it is destroyed while it is in use")
	}
	after.Run()
	if v.destroyed != 1 {
		t.Errorf("it is destroyed %d times", v.destroyed)
	}
	bad := errors.New("bad")
	var c lifecycle.Cleanups
	if _, err := lifecycle.FromPool[*value](&c, pool, "other", func() (caddy.Destructor, error) { return nil, bad }); !errors.Is(err, bad) || len(c) != 0 {
		t.Errorf("%v, %d cleanups", err, len(c))
	}
}

// TestOnStarted checks that a config that is only provisioned starts nothing.
func TestOnStarted(t *testing.T) {
	base, err := caddy.ProvisionContext(new(caddy.Config))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	defer cancel()
	started := false
	if err := lifecycle.OnStarted(ctx, func() { started = true }); err != nil || started {
		t.Errorf("%v, started %t", err, started)
	}
}
