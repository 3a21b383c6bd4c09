package process

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The metrics of a process that Go's client of Prometheus offers. Metrics lacks what
// the operating system does not tell.
const (
	MetricMemory      = "process_resident_memory_bytes"
	MetricGoroutines  = "go_goroutines"
	MetricDescriptors = "process_open_fds"
)

// Metrics returns the values at /metrics of the admin endpoint, by name and labels as
// they are written there: cache_entries{layer="memory"}.
func (p *Process) Metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.cfg.Admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := p.admin.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read metrics of %s: %s", p.name(), res.Status)
	}
	values := make(map[string]float64)
	scanner := bufio.NewScanner(res.Body)
	for scanner.Scan() {
		line := scanner.Text()
		space := strings.LastIndexByte(line, ' ')
		if space < 0 || line[0] == '#' {
			continue
		}
		if v, err := strconv.ParseFloat(line[space+1:], 64); err == nil {
			values[line[:space]] = v
		}
	}
	return values, scanner.Err()
}
