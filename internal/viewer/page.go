package viewer

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"
)

//go:embed all:dist
var built embed.FS

// Page serves the page of a granted port: "/", and one script whose name is its hash. The
// page connects noVNC to /websockify on its own origin with the token from the address's
// fragment, which no request carries. reconnect is how long the page tries to come back
// after its connection was lost; 0 means not at all. Any other path is 404, and a build
// without the page answers 503 with words that say how to build it in.
func Page(reconnect time.Duration) http.Handler {
	return page(built, reconnect)
}

// A granted is the page of a granted port.
type granted struct {
	files     map[string][]byte // by the name under /, and the same with .gz and .br
	reconnect time.Duration
	style     string // CSP source of the page's style
}

var (
	styleElement = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	plainHost    = regexp.MustCompile(`^[0-9A-Za-z.:\[\]-]+$`)
)

func page(files fs.FS, reconnect time.Duration) http.Handler {
	p := &granted{files: map[string][]byte{}, reconnect: reconnect}
	entries, _ := fs.ReadDir(files, "dist")
	for _, e := range entries {
		if data, err := fs.ReadFile(files, path.Join("dist", e.Name())); err == nil {
			p.files[e.Name()] = data
		}
	}
	m := styleElement.FindSubmatch(p.files["index.html"])
	if m == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "This port is for one viewer. The page that shows a view is not in this build: "+
				"run make build on the machine that builds shadowd.", http.StatusServiceUnavailable)
		})
	}
	sum := sha256.Sum256(m[1])
	p.style = "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	return p
}

// ServeHTTP implements http.Handler.
func (p *granted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", p.policy(r.Host))
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	switch name := strings.TrimPrefix(r.URL.Path, "/"); {
	case name == "":
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		p.serve(w, r, "index.html")
	case strings.HasSuffix(name, ".js") && p.files[name] != nil:
		h.Set("Content-Type", "text/javascript; charset=utf-8")
		h.Set("Cache-Control", "private, max-age=31536000, immutable") // its name is its hash
		p.serve(w, r, name)
	default:
		http.Error(w, "not found", http.StatusNotFound)
	}
}

// policy is the page's Content-Security-Policy: this origin's one script and one style, and
// the WebSocket. Not every browser takes 'self' for the latter. noVNC decodes JPEG by way of
// data: images.
func (p *granted) policy(host string) string {
	connect := "'self'"
	if plainHost.MatchString(host) {
		connect += " ws://" + host + " wss://" + host
	}
	return "default-src 'none'; script-src 'self'; style-src " + p.style + "; img-src data: blob:; connect-src " + connect +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// serve writes a file in the best form that the browser takes.
func (p *granted) serve(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	data := p.files[name]
	if name == "index.html" {
		data = p.withReconnect(data) // small; its ready-made forms say nothing of the time
	} else {
		for _, form := range []struct{ coding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
			if packed := p.files[name+form.suffix]; packed != nil && accepts(r, form.coding) {
				h.Set("Content-Encoding", form.coding)
				data = packed
				break
			}
		}
	}
	h.Set("Content-Length", fmt.Sprint(len(data)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(data)
	}
}

// withReconnect tells the page how long the host keeps a lost view.
func (p *granted) withReconnect(html []byte) []byte {
	with := fmt.Sprintf(`<body data-reconnect="%d"`, int(p.reconnect.Seconds()))
	return []byte(strings.Replace(string(html), "<body", with, 1))
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
