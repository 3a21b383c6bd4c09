package caddyhuma

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// pages returns the Markdown files of the repository by their path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, file := range sources(t, ".md") {
		all[file] = string(testutil.File(t, file))
	}
	return all
}

// sources returns the paths of all files with one of the extensions.
func sources(t *testing.T, extensions ...string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case !entry.IsDir() && slices.Contains(extensions, path.Ext(file)):
			files = append(files, filepath.ToSlash(file))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence        = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```$")
	heading      = regexp.MustCompile(`(?m)^#+ (.*)$`)
	ownURL       = regexp.MustCompile(`https://github\.com/caddy-huma/caddy-huma/blob/main/([\w./-]+)(#[\w-]+)?`)
)

// anchors returns the fragments of the headings of a page, as GitHub makes them.
func anchors(text string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		title := regexp.MustCompile(`\]\([^)]*\)`).ReplaceAllString(m[1], "")
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title))
	}
	return all
}

// TestLinks checks that the links of the documentation, and those from elsewhere into the
// documentation, lead to files and headings that exist. It does not check other sites.
func TestLinks(t *testing.T) {
	all := pages(t)
	check := func(from, file, anchor string) {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s links to %s, which does not exist", from, file)
		} else if anchor != "" && !slices.Contains(anchors(all[file]), anchor) {
			t.Errorf("%s links to %s#%s, but there is no such heading", from, file, anchor)
		}
	}
	for name, text := range all {
		for _, m := range markdownLink.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			switch {
			case strings.Contains(file, "://"):
			case file == "":
				check(name, name, anchor)
			default:
				check(name, path.Join(path.Dir(name), file), anchor)
			}
		}
	}
	for _, name := range sources(t, ".md", ".go", ".yml", ".yaml", ".json", ".js", ".html") {
		for _, m := range ownURL.FindAllStringSubmatch(string(testutil.File(t, name)), -1) {
			check(name, m[1], strings.TrimPrefix(m[2], "#"))
		}
	}
}

// TestIndex checks that the index of the documentation links to every page in docs, and
// every page links to the index.
func TestIndex(t *testing.T) {
	all := pages(t)
	linked := make(map[string]bool) // from the index, or from a page to which it links
	for _, index := range []string{"docs/README.md", "docs/presets.md"} {
		for _, m := range markdownLink.FindAllStringSubmatch(all[index], -1) {
			file, _, _ := strings.Cut(m[1], "#")
			linked[path.Join("docs", file)] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name == "docs/README.md" || !strings.HasPrefix(name, "docs/") {
			continue
		}
		if !linked[name] {
			t.Errorf("docs/README.md does not link to %s", name)
		}
		if up := strings.Repeat("../", strings.Count(name, "/")-1); !strings.Contains(all[name], "\n[Documentation]("+up+"README.md)") {
			t.Errorf("%s does not link to the index", name)
		}
	}
}
