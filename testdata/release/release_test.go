// Package release_test checks the config of the releases.
package release_test

import (
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

// TestConfig checks that .goreleaser.yaml has only options that goreleaser knows. This is part
// of goreleaser check, without the minutes of compiling goreleaser; .ci/release runs it.
func TestConfig(t *testing.T) {
	project, err := config.Load("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if project.Version != 2 || len(project.Builds) != 1 {
		t.Errorf("version %d, %d builds", project.Version, len(project.Builds))
	}
}
