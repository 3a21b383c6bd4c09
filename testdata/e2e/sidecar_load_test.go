package e2e

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The load of wantLoad.
const (
	loadRate        = 500 // requests per second
	loadDuration    = 20 * time.Second
	loadConnections = 32 // further requests wait for one of them
)

var rssLine = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB`)

// rss returns the resident memory of a process in MiB.
func (p *process) rss(t *testing.T) float64 {
	t.Helper()
	match := rssLine.FindSubmatch(read(t, "/proc/"+strconv.Itoa(p.cmd.Process.Pid)+"/status"))
	if match == nil {
		t.Fatal("no VmRSS")
	}
	kib, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return float64(kib) / 1024
}

// wantLoad sends requests at a constant rate, whether or not earlier ones have ended, over
// connections that are kept alive, and checks that all get a token. With the environment
// variable CADDY_HUMA_E2E_NO_LOAD, it does not run: the other checks need no idle machine.
func (s *sidecar) wantLoad(t *testing.T, header http.Header) {
	t.Helper()
	if os.Getenv("CADDY_HUMA_E2E_NO_LOAD") != "" {
		t.Log("not run: load")
		return
	}
	before := s.caddy.rss(t)
	transport := &http.Transport{TLSClientConfig: siteTLS(), MaxIdleConnsPerHost: loadConnections, MaxConnsPerHost: loadConnections}
	c := &http.Client{Timeout: 2 * processTimeout, Transport: transport}
	defer c.CloseIdleConnections()
	var (
		connections atomic.Int64
		wg          sync.WaitGroup
		failed      sync.Map
		total       = int(loadDuration.Seconds() * loadRate)
		latencies   = make([]time.Duration, total)
		start       = time.Now()
	)
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			connections.Add(1)
		}
	}}
	for i := range total {
		due := start.Add(time.Duration(i) * time.Second / loadRate)
		time.Sleep(time.Until(due))
		wg.Go(func() {
			req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, s.url+"/private/huma-token", nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header = header.Clone()
			res, err := c.Do(req)
			if err != nil {
				failed.Store(err.Error(), true)
				return
			}
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != http.StatusOK {
				failed.Store(res.Status, err)
			}
			latencies[i] = time.Since(due)
		})
	}
	wg.Wait()
	failed.Range(func(key, value any) bool {
		t.Errorf("under load: %v, %v", key, value)
		return true
	})
	took := time.Since(start)
	slices.Sort(latencies)
	t.Logf("%d requests in %v over %d connections: median %v, 99%% %v, maximum %v; resident memory of the sidecar: %.0f MiB before, %.0f MiB after",
		total, took.Round(time.Millisecond), connections.Load(), latencies[total/2], latencies[total*99/100], latencies[total-1], before, s.caddy.rss(t))
	if n := connections.Load(); n > int64(total/100) {
		t.Errorf("%d connections for %d requests", n, total)
	}
}

// TestSidecarLatency measures a cached token through nginx against a response of nginx
// itself, one request after the other over one connection, in alternating rounds.
func TestSidecarLatency(t *testing.T) {
	const rounds, requests = 9, 500
	s := startSidecar(t, freePort(t))
	config := s.file(t, "latency.conf", `user www-data;
worker_processes 1;
pid `+s.dir+`/nginx.pid;
error_log stderr;
events {
}
http {
	access_log off;
	keepalive_requests 1000000;
	upstream sidecar {
		server unix:`+s.socket+`;
		keepalive 16;
	}
	server {
		listen 127.0.0.1:`+s.port+`;
		location = /static {
			return 200 "ok";
		}
		location = /private/huma-token {
			proxy_pass http://sidecar;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header Remote-Email `+rose+`;
		}
	}
}
`)
	start(t, s.dir, "127.0.0.1:"+s.port, nil, "/usr/sbin/nginx", "-c", config, "-g", "daemon off;")
	c := &http.Client{Timeout: processTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer c.CloseIdleConnections()
	round := func(path string) time.Duration {
		var took []time.Duration
		for range requests {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+s.port+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			took = append(took, time.Since(start))
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s, %v", path, res.Status, err)
			}
		}
		slices.Sort(took)
		return took[requests/2]
	}
	round("/private/huma-token") // signs the user up
	calls := s.calls(t)
	var static, token []time.Duration
	for range rounds {
		static, token = append(static, round("/static")), append(token, round("/private/huma-token"))
	}
	if n := s.calls(t); n != calls {
		t.Errorf("%d calls at Huma: the token was not cached", n-calls)
	}
	slices.Sort(static)
	slices.Sort(token)
	a, b := static[rounds/2], token[rounds/2]
	t.Logf("median of %d rounds of %d requests: nginx itself %v, a cached token of the sidecar %v, ratio %.1f", rounds, requests, a, b, float64(b)/float64(a))
}
