// Package web is shadowgate's console as browsers get it: one document, whose script shows the
// page that the address names, and what it needs.
//
// The pages' sources are in page; "make pages" bundles them into dist, which is embedded and
// not in the repository. A build without them works, and says so when it is asked for one.
package web

import (
	"embed"
	"io/fs"
	"net/http"
	"regexp"
	"strings"

	"vda.internal/shadow/internal/pages"
)

//go:embed all:dist
var built embed.FS

// Pages serves the console's pages and what they load. The document says nothing of sessions or
// users and is served to everybody: what it shows comes from the API, which knows who asks. A
// path that isn't a page's is 404, and a build without the pages answers 503 with words that
// say how to build them in.
func Pages() http.Handler { return handler(built) }

// paths are those of the console's pages.
var paths = regexp.MustCompile(`^/(|activity|me|signin|view/[0-9A-Za-z_-]{1,64})$`)

func handler(files fs.FS) http.Handler {
	bundled := pages.Load(files, "dist")
	html := bundled[pages.Index]
	if html == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "The console's pages are not in this build: run make build on the machine that builds shadowgate.",
				http.StatusServiceUnavailable)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !pages.Guard(w, r, "'self'") {
			return
		}
		switch name := strings.TrimPrefix(r.URL.Path, "/"); {
		case paths.MatchString(r.URL.Path):
			pages.ServeDocument(w, r, html)
		case bundled.Asset(name):
			bundled.ServeAsset(w, r, name)
		default:
			http.Error(w, "not found", http.StatusNotFound)
		}
	})
}
