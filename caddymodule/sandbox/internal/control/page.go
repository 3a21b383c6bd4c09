package control

import (
	"embed"
	"net/http"
	"path"
)

//go:embed page
var pageFiles embed.FS

var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
}

// pageCSP allows the page its own files and nothing else: what it shows came
// from callers.
const pageCSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func servePage(w http.ResponseWriter, name string) {
	content, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic(err) // the files are part of the program
	}
	h := w.Header()
	h.Set("Content-Type", pageTypes[path.Ext(name)])
	h.Set("Content-Security-Policy", pageCSP)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(content) // the client has left, if anything
}

func pageFile(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { servePage(w, name) }
}
