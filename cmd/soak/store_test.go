package main

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/redisserver"
)

// TestCacheOption: what of the option cache is written, and that it is not where
// the directive's own will do.
func TestCacheOption(t *testing.T) {
	store := &redisserver.Server{Port: 6379}
	for name, c := range map[string]struct {
		o     options
		store *redisserver.Server
		want  string
	}{
		"the directive's": {options{}, nil, ""},
		"a ttl":           {options{ttl: time.Second}, nil, "cache 1s"},
		"a bound":         {options{maxEntries: 5}, nil, "cache {\n\t\t\tmax_entries 5\n\t\t}"},
		"all": {options{ttl: time.Second, maxEntries: 5}, store, "cache 1s {\n\t\t\tmax_entries 5\n\t\t\tredis {" +
			"\n\t\t\t\taddress 127.0.0.1:6379\n\t\t\t\tencryption_keys " + storeKey + "\n\t\t\t}\n\t\t}"},
	} {
		if got := c.o.cacheOption(c.store); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestServed: what Redis and the service were asked tells where tokens came
// from.
func TestServed(t *testing.T) {
	const stats = "# Commandstats\r\ncmdstat_hget:calls=7,usec=1\r\ncmdstat_hmget:calls=42,usec=99,usec_per_call=2.36\r\n"
	if got := readsIn(stats); got != 42 || readsIn("# Commandstats\r\n") != 0 {
		t.Errorf("%d reads", got)
	}
	for name, c := range map[string]struct {
		before, after mark
		want          Served
	}{
		"the store is there":       {mark{10, 5}, mark{60, 15}, Served{Memory: 50, Redis: 40, Huma: 10}},
		"it was started again":     {mark{1000, 5}, mark{50, 15}, Served{Memory: 50, Redis: 40, Huma: 10}},
		"it is gone":               {mark{10, 5}, mark{10, 35}, Served{Memory: 70, Huma: 30}},
		"more calls than requests": {mark{}, mark{0, 120}, Served{Huma: 120}},
	} {
		if got := c.after.since(c.before).served("", 100); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestStoreReport: what Caddy says of the store, and when.
func TestStoreReport(t *testing.T) {
	const goes, comes = `{"msg":"the shared store cannot be used: this replica works for itself"}`, `{"msg":"the shared store is there: replicas share tokens"}`
	r := newRecorder(true)
	r.start = time.Now()
	if r.storeReport() != nil {
		t.Error("there is no store")
	}
	r.logLine([]byte(comes))
	select {
	case <-r.joined:
	default:
		t.Error("it is there")
	}
	r.marked(mark{})
	r.logLine([]byte(goes)) // before the fault
	r.logLine([]byte(comes))
	r.marked(mark{reads: 3, signIns: 1})
	if s := r.storeReport(); s.DownMs != -1 || s.UpMs != -1 || s.Downs != 1 {
		t.Errorf("before the fault: %+v", s)
	}
	r.faultBegins(time.Second)
	r.logLine([]byte(goes))
	r.marked(mark{reads: 3, signIns: 4})
	r.logLine([]byte(comes)) // noticed before the fault's end was noted
	r.faultEnds(traffic{})
	r.marked(mark{reads: 9, signIns: 5})
	s := r.storeReport()
	if s.DownMs < 0 || s.UpMs != 0 || s.Downs != 2 {
		t.Errorf("after it: %+v", s)
	}
	want := []Served{{Part: "before", Redis: 2, Huma: 1}, {Part: "fault", Huma: 3}, {Part: "after", Redis: 5, Huma: 1}}
	if !slices.Equal(s.Served, want) {
		t.Errorf("tokens: %+v, want %+v", s.Served, want)
	}
}
