package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// Amount is how much of something is used, or Unknown.
type Amount int64

// Unknown is what cannot be told on this system.
const Unknown Amount = -1

// MarshalJSON implements json.Marshaler: what is unknown is null.
func (a Amount) MarshalJSON() ([]byte, error) {
	if a < 0 {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(a), 10), nil
}

// Usage is what a process uses at a moment.
type Usage struct {
	RSS         Amount `json:"rssBytes"`
	Goroutines  Amount `json:"goroutines"`
	Descriptors Amount `json:"descriptors"`
}

// Usage tells what the process uses now. Asking for the goroutines costs the
// process some work for each of them.
func (p *Process) Usage(ctx context.Context) Usage {
	u := Usage{RSS: p.rss(), Goroutines: Unknown, Descriptors: Unknown}
	if entries, err := os.ReadDir(p.proc("fd")); err == nil {
		u.Descriptors = Amount(len(entries))
	}
	if n, err := p.profile(ctx, "goroutine?debug=1", "goroutine profile: total "); err == nil {
		u.Goroutines = n
	}
	return u
}

// LiveHeap is how many bytes are left on its heap after two garbage
// collections, which is what asking costs: what pools hold goes with the second.
func (p *Process) LiveHeap(ctx context.Context) Amount {
	if _, err := p.profile(ctx, "heap?debug=1&gc=1", "# HeapAlloc = "); err != nil {
		return Unknown
	}
	n, err := p.profile(ctx, "heap?debug=1&gc=1", "# HeapAlloc = ")
	if err != nil {
		return Unknown
	}
	return n
}

func (p *Process) proc(name string) string { return fmt.Sprintf("/proc/%d/%s", p.PID(), name) }

// rss reads the resident set size that Linux tells.
func (p *Process) rss() Amount {
	text, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return Unknown
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err == nil {
				return Amount(kb << 10)
			}
		}
	}
	return Unknown
}

var errNoValue = errors.New("the profile has no such line")

// profile reads the number behind a prefix from one of Go's profiles.
func (p *Process) profile(ctx context.Context, path, prefix string) (Amount, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.cfg.Admin+"/debug/pprof/"+path, nil)
	if err != nil {
		return Unknown, err
	}
	res, err := p.admin.Do(req)
	if err != nil {
		return Unknown, err
	}
	defer res.Body.Close()
	found := Unknown
	scanner := bufio.NewScanner(res.Body)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() { // to the end, so that the connection can be used again
		value, ok := bytes.CutPrefix(scanner.Bytes(), []byte(prefix))
		if !ok || found != Unknown {
			continue
		}
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return Unknown, err
		}
		found = Amount(n)
	}
	if found == Unknown {
		return Unknown, errors.Join(errNoValue, scanner.Err())
	}
	return found, scanner.Err()
}

// RefusedDials is how many connections could not be opened on this machine so
// far, by anybody: nothing else can tell how often nobody was there.
func RefusedDials() Amount {
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return Unknown
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "Tcp:":
		case names == nil:
			names = fields
		default:
			for i, name := range names[:min(len(names), len(fields))] {
				if n, err := strconv.ParseInt(fields[i], 10, 64); err == nil && name == "AttemptFails" {
					return Amount(n)
				}
			}
		}
	}
	return Unknown
}
