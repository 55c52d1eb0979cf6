package viewer

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"time"

	"vda.internal/shadow/internal/pages"
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
	files pages.Files
	html  []byte
	style string // CSP source of the page's style
}

var styleElement = regexp.MustCompile(`(?s)<style>(.*?)</style>`)

func page(files fs.FS, reconnect time.Duration) http.Handler {
	p := &granted{files: pages.Load(files, "dist")}
	html := p.files[pages.Index]
	m := styleElement.FindSubmatch(html)
	if m == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "This port is for one viewer. The page that shows a view is not in this build: "+
				"run make build on the machine that builds shadowd.", http.StatusServiceUnavailable)
		})
	}
	sum := sha256.Sum256(m[1])
	p.style = "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	// The page is told how long the host keeps a lost view.
	with := fmt.Sprintf(`<body data-reconnect="%d"`, int(reconnect.Seconds()))
	p.html = bytes.Replace(html, []byte("<body"), []byte(with), 1)
	return p
}

// ServeHTTP implements http.Handler.
func (p *granted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !pages.Guard(w, r, p.style) {
		return
	}
	switch name := strings.TrimPrefix(r.URL.Path, "/"); {
	case name == "":
		pages.ServeDocument(w, r, p.html)
	case p.files.Asset(name):
		p.files.ServeAsset(w, r, name)
	default:
		http.Error(w, "not found", http.StatusNotFound)
	}
}
