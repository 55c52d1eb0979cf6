// Package web serves the files of a directory, with noVNC's in mind: current
// after an upgrade, and with the types that browsers insist on.
//
//	http.Handle("/", &web.Dir{Root: "/usr/share/novnc"})
//
// Like the Python program's server it follows symbolic links out of the
// directory and serves hidden files. Unlike it, it knows ranges and ETags, and
// tells browsers to ask again instead of using what they have.
package web

import (
	"errors"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// A Dir is an http.Handler for GET and HEAD.
type Dir struct {
	Root     string
	FileOnly bool // no listings of directories without an index.html: 404
}

// Who takes a file slower than this is cut off.
const (
	minBytesPerSecond = 4 << 10
	grace             = time.Minute
)

// ServeHTTP serves a file or lists a directory.
func (d *Dir) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache") // keep it, but ask whether it is current
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	name := path.Clean("/" + r.URL.Path)
	if strings.ContainsRune(name, 0) {
		http.NotFound(w, r)
		return
	}
	f, info, err := open(filepath.Join(d.Root, filepath.FromSlash(name)))
	if err != nil {
		refuse(w, err)
		return
	}
	defer f.Close()
	slash := strings.HasSuffix(r.URL.Path, "/")
	switch {
	case !info.IsDir() && slash:
		http.NotFound(w, r)
	case !info.IsDir():
		serveFile(w, r, f, info)
	case !slash:
		redirect(w, r, name+"/")
	default:
		d.serveDirectory(w, r, f, name)
	}
}

// open opens a regular file or a directory. Opening anything else could wait
// for ever.
func open(name string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return nil, nil, fs.ErrNotExist
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, fs.ErrPermission) {
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	}
	http.Error(w, "File not found", http.StatusNotFound)
}

func redirect(w http.ResponseWriter, r *http.Request, to string) {
	u := url.URL{Path: to, RawQuery: r.URL.RawQuery}
	http.Redirect(w, r, u.String(), http.StatusMovedPermanently)
}

func serveFile(w http.ResponseWriter, r *http.Request, f *os.File, info fs.FileInfo) {
	// Without a charset: a page may say its own. The dot of a hidden file
	// begins no extension.
	extension := filepath.Ext(strings.TrimLeft(info.Name(), "."))
	kind, _, err := mime.ParseMediaType(mime.TypeByExtension(extension))
	if err != nil {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	within := grace + time.Duration(info.Size()/minBytesPerSecond)*time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within)) // a recorder in a test has none
	http.ServeContent(w, r, "", info.ModTime(), f)
}

func (d *Dir) serveDirectory(w http.ResponseWriter, r *http.Request, f *os.File, name string) {
	for _, index := range []string{"index.html", "index.htm"} {
		if page, info, err := open(filepath.Join(f.Name(), index)); err == nil {
			defer page.Close()
			if info.Mode().IsRegular() {
				serveFile(w, r, page, info)
				return
			}
		}
	}
	if d.FileOnly {
		http.Error(w, "No such file", http.StatusNotFound)
		return
	}
	entries, err := os.ReadDir(f.Name()) // sorted
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(grace))
	if r.Method == http.MethodGet {
		fmt.Fprint(w, listing(name, entries))
	}
}

func listing(name string, entries []fs.DirEntry) string {
	title := html.EscapeString("Directory listing for " + name)
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>%[1]s</title>\n</head>\n<body>\n<h1>%[1]s</h1>\n<ul>\n", title)
	for _, e := range entries {
		shown, link := e.Name(), e.Name()
		switch {
		case e.IsDir():
			shown, link = shown+"/", link+"/"
		case e.Type()&fs.ModeSymlink != 0:
			shown += "@"
		}
		u := url.URL{Path: "./" + link} // a colon in the name makes no scheme
		fmt.Fprintf(&b, "<li><a href=\"%s\">%s</a></li>\n", html.EscapeString(u.String()), html.EscapeString(shown))
	}
	b.WriteString("</ul>\n</body>\n</html>\n")
	return b.String()
}
