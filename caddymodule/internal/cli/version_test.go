package cli

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	main := debug.Module{Path: modulePath, Version: "v0.1.1-0.20261129000000-0123456789ab+dirty"}
	built := func(m debug.Module) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: "caddy", Version: "(devel)"}, Deps: []*debug.Module{{Path: "github.com/caddyserver/caddy/v2", Version: "v2.11.9"}, &m},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "another repository's"}}}
	}
	for name, c := range map[string]struct {
		info              *debug.BuildInfo
		version, revision string
		modified          bool
	}{
		"no build information": {nil, "(devel)", "", false},
		"no such module":       {built(debug.Module{Path: "example.com/other", Version: "v1.2.3"}), "(devel)", "", false},
		"a published version":  {built(debug.Module{Path: modulePath, Version: "v0.1.0"}), "v0.1.0", "", false},
		"replaced by a directory": {built(debug.Module{Path: modulePath, Version: "v0.1.0", Replace: &debug.Module{Path: "/src/caddy-huma"}}),
			"(devel)", "", false},
		"replaced by a fork": {built(debug.Module{Path: modulePath, Version: "v0.1.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v0.1.1"}}),
			"v0.1.1", "", false},
		"a clone": {&debug.BuildInfo{Main: main, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}},
			main.Version, "0123456789abcdef", true},
		"a clone without version control": {&debug.BuildInfo{Main: debug.Module{Path: modulePath}}, "(devel)", "", false},
	} {
		v := versionOf(c.info)
		if v.Version != c.version || v.Revision != c.revision || v.Modified != c.modified {
			t.Errorf("%s: %+v", name, v)
		}
		if v.Caddy == "" || v.Go == "" || v.Platform == "" || len(v.Modules) != len(optionalModules) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
