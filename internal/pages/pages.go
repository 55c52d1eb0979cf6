// Package pages serves what the build has bundled for browsers: a document, and scripts and
// styles that have their hashes in their names, each with compressed forms beside it.
package pages

import (
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
)

// Index is the name of the document.
const Index = "index.html"

// Files are bundled files by name, and the same with .gz and .br for their compressed forms.
type Files map[string][]byte

// Load reads the files of a folder. What can't be read is left out, so that a build without
// pages has no files.
func Load(from fs.FS, folder string) Files {
	files := Files{}
	entries, _ := fs.ReadDir(from, folder)
	for _, e := range entries {
		if data, err := fs.ReadFile(from, path.Join(folder, e.Name())); err == nil {
			files[e.Name()] = data
		}
	}
	return files
}

// types are the content types by ending of what a browser may ask for by name.
var types = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

// Asset reports whether name is a script or a style that is there.
func (f Files) Asset(name string) bool { return types[path.Ext(name)] != "" && f[name] != nil }

// ServeAsset answers with a script or style in the best form that the browser takes, to be kept
// for a year: its name has its hash. name is one for which [Files.Asset] is true.
func (f Files) ServeAsset(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("Content-Type", types[path.Ext(name)])
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	data := f[name]
	for _, form := range []struct{ coding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if packed := f[name+form.suffix]; packed != nil && accepts(r, form.coding) {
			h.Set("Content-Encoding", form.coding)
			data = packed
			break
		}
	}
	write(w, r, data)
}

// ServeDocument answers with a document, which is small and never kept.
func ServeDocument(w http.ResponseWriter, r *http.Request, html []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	write(w, r, html)
}

func write(w http.ResponseWriter, r *http.Request, data []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(data)
	}
}

// Guard sets the headers that keep a page to itself, and reports whether the request reads. If
// it doesn't it has been answered. style is the policy's source of styles.
func Guard(w http.ResponseWriter, r *http.Request, style string) bool {
	h := w.Header()
	h.Set("Content-Security-Policy", policy(r.Host, style))
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	h.Set("Allow", "GET, HEAD")
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

var plainHost = regexp.MustCompile(`^[0-9A-Za-z.:\[\]-]+$`)

// policy is a page's Content-Security-Policy: this origin's scripts, the styles, and the
// WebSocket. Not every browser takes 'self' for the latter. noVNC decodes JPEG by way of
// data: images.
func policy(host, style string) string {
	connect := "'self'"
	if plainHost.MatchString(host) {
		connect += " ws://" + host + " wss://" + host
	}
	return "default-src 'none'; script-src 'self'; style-src " + style + "; img-src data: blob:; connect-src " + connect +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

// accepts reports whether a request takes a content coding (RFC 9110 12.5.3).
func accepts(r *http.Request, coding string) bool {
	for _, line := range r.Header.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), coding) {
				return !refused.MatchString(weight)
			}
		}
	}
	return false
}

var refused = regexp.MustCompile(`^\s*q=0(\.0*)?\s*$`)
