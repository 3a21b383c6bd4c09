package admin

import (
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestDocs checks that docs/admin-api.md documents every call and every healthReason.
func TestDocs(t *testing.T) {
	text := string(testutil.File(t, "../../../docs/admin-api.md"))
	for path, call := range calls {
		if !strings.Contains(text, "`"+call.methods[0]+" "+pathPrefix+path+"`") {
			t.Errorf("the documentation does not name %s", path)
		}
	}
	for _, reason := range []healthReason{reasonStopping, reasonNoHandlers, reasonBreakerOpen, reasonStoreDown, reasonFilesUnreadable} {
		if !strings.Contains(text, "`"+string(reason)+"`") {
			t.Errorf("the documentation does not name %s", reason)
		}
	}
}
