package process

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The names of process metrics of Go's Prometheus client. Some are missing on some
// operating systems.
const (
	MetricMemory      = "process_resident_memory_bytes"
	MetricGoroutines  = "go_goroutines"
	MetricDescriptors = "process_open_fds"
)

// Metrics returns the metrics at /metrics of the admin endpoint. The keys are names with
// labels, such as cache_entries{layer="memory"}.
func (p *Process) Metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
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
		return nil, fmt.Errorf("read metrics of %s: unexpected status %s", p.name(), res.Status)
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
