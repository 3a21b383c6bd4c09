package caddymodule_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-huma/caddy-huma/internal/testutil"
)

// TestLogMessagesAreDocumented checks that the table in docs/logs.md has every log message of the
// plugin above debug level, and no other ones.
func TestLogMessagesAreDocumented(t *testing.T) {
	_, table, _ := strings.Cut(string(testutil.File(t, "../docs/logs.md")), "<!-- messages -->")
	table, _, _ = strings.Cut(table, "<!-- end of messages -->")
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (?:info|warn|error)").FindAllStringSubmatch(table, -1) {
		documented[row[1]] = true
	}
	logged := logMessages(t)
	for message := range logged {
		if !documented[message] {
			t.Errorf("docs/logs.md does not have the message %q", message)
		}
	}
	for message := range documented {
		if !logged[message] {
			t.Errorf("docs/logs.md has a message that is not logged: %q", message)
		}
	}
}

// messageArgument maps the functions that log to the argument that is the message.
var messageArgument = map[string]int{
	"Info": 0, "Warn": 0, "Error": 0, "Log": 1, "logSampled": 3, "logChange": 1, "logPanic": 0,
}

// logMessages returns the messages above debug level that the sources log.
func logMessages(t *testing.T) map[string]bool {
	t.Helper()
	packages := make(map[string][]*ast.File) // by folder
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == "sandbox": // not part of the plugin
			return fs.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	messages := make(map[string]bool)
	for _, files := range packages {
		constants := stringConstants(files)
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if message := loggedMessage(call, constants); message != "" {
						messages[message] = true
					}
				}
				return true
			})
		}
	}
	return messages
}

// loggedMessage returns the message that a call logs above debug level, or "".
func loggedMessage(call *ast.CallExpr, constants map[string]string) string {
	function, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	at, ok := messageArgument[function.Sel.Name]
	if !ok || at >= len(call.Args) {
		return ""
	}
	if level, ok := call.Args[0].(*ast.SelectorExpr); ok && level.Sel.Name == "DebugLevel" {
		return ""
	}
	switch argument := call.Args[at].(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(argument.Value) // a number has no text
		return text
	case *ast.Ident:
		return constants[argument.Name]
	}
	return ""
}

// stringConstants returns the constants of a package whose value is a string literal.
func stringConstants(files []*ast.File) map[string]string {
	constants := make(map[string]string)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == len(spec.Values) {
				for i, name := range spec.Names {
					if value, ok := spec.Values[i].(*ast.BasicLit); ok {
						constants[name.Name], _ = strconv.Unquote(value.Value)
					}
				}
			}
			return true
		})
	}
	return constants
}
