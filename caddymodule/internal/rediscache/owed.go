package rediscache

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// maxOwed is how much is remembered that could not be done: some 2 MB.
const maxOwed = 10_000

var errOwesTooMuch = errors.New("redis: too much is to be made up for, this is not remembered")

// owed is what has to be done in the store and could not be, because it was down
// or takes no writes: users to forget, sign-ups to settle. The keeper makes up
// for it once the store serves everything again.
type owed struct {
	n  atomic.Int64 // len(todo): whoever owes nothing pays no lock
	mu sync.Mutex

	todo map[string]*debt
	last int // how many debts there were
}

type debt struct {
	number int
	do     func(context.Context) error
}

// do does something, or owes it under a name: the last of a name counts. Its
// error says that it was not done now. A context that ends keeps it from being
// done, and from being owed.
func (o *owed) do(ctx context.Context, name string, do func(context.Context) error) error {
	err := do(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, again := o.todo[name]; !again && len(o.todo) >= maxOwed {
		return errors.Join(err, errOwesTooMuch)
	}
	if o.todo == nil {
		o.todo = make(map[string]*debt)
	}
	o.last++
	o.todo[name] = &debt{o.last, do}
	o.n.Store(int64(len(o.todo)))
	return err
}

// has reports whether something is owed under a name.
func (o *owed) has(name string) bool {
	if o.n.Load() == 0 {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.todo[name]
	return ok
}

// pay does what is owed, until something cannot be done. It keeps the order: two
// sign-ups of one user may be settled, and the later one has the last word.
func (o *owed) pay(ctx context.Context) {
	todo := o.all()
	inOrder := func(a, b string) int { return todo[a].number - todo[b].number }
	for _, name := range slices.SortedFunc(maps.Keys(todo), inOrder) {
		d := todo[name]
		if d.do(ctx) != nil {
			return
		}
		o.paid(name, d)
	}
}

func (o *owed) all() map[string]*debt {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.todo)
}

// paid drops a debt, unless another one has come in its place.
func (o *owed) paid(name string, d *debt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.todo[name] == d {
		delete(o.todo, name)
		o.n.Store(int64(len(o.todo)))
	}
}
