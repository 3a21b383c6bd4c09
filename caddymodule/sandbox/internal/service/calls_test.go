package service

import (
	"fmt"
	"testing"
)

func TestCallLogIsBounded(t *testing.T) {
	l := NewCalls()
	const n = maxCalls + 10
	for i := range n {
		l.end(l.begin(Call{Op: OpSignIn, Email: "A@example.com"}, fmt.Sprint(i%3)), 200, "", false)
	}
	r := l.Report(0)
	if len(r.Calls) != maxCalls || r.Calls[0].Seq != 11 || r.Calls[maxCalls-1].Seq != n || r.ByOp[OpSignIn] != n || r.ByUser["a@example.com"][OpSignIn] != n || r.Connections != 3 {
		t.Errorf("%d calls from %d to %d, %v %v", len(r.Calls), r.Calls[0].Seq, r.Calls[maxCalls-1].Seq, r.ByOp, r.ByUser)
	}
	if last := l.Report(2).Calls; len(last) != 2 || last[1].Seq != n {
		t.Errorf("limited: %+v", last)
	}
}
