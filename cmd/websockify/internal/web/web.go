// Package web serves the files of a directory, with noVNC's in mind: current
// after an upgrade, and with the types that browsers insist on.
//
//	http.Handle("/", &web.Dir{Root: "/usr/share/novnc"})
//
// It serves nothing outside the directory, wherever a symbolic link in it leads,
// and no file or directory whose name begins with a dot, except for
// /.well-known (RFC 8615). It supports ranges and ETags, and tells browsers to
// revalidate what they have cached.
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
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Dir is an http.Handler for GET and HEAD.
type Dir struct {
	Root     string // opened for each request; may itself be a symbolic link
	FileOnly bool   // no listings of directories without an index.html: 404
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
	if strings.ContainsRune(name, 0) || isHidden(name) {
		http.NotFound(w, r)
		return
	}
	root, err := os.OpenRoot(d.Root)
	if err != nil {
		refuse(w, err)
		return
	}
	defer root.Close()
	f, info, err := open(root, name)
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
		redirect(w, r, path.Base(name)+"/")
	default:
		d.serveDirectory(w, r, root, f, name)
	}
}

// isHidden reports whether an element of a cleaned path begins with a dot.
// Proofs for certificate authorities are in /.well-known.
func isHidden(name string) bool {
	rest, known := strings.CutPrefix(name, "/.well-known")
	if known && (rest == "" || rest[0] == '/') {
		name = rest
	}
	return strings.Contains(name, "/.")
}

// open opens a regular file or a directory of root; name begins with a slash.
// Opening doesn't wait for the other end of a pipe.
func open(root *os.Root, name string) (f *os.File, info fs.FileInfo, err error) {
	for range 3 {
		if f, info, err = openNow(root, name); !errors.Is(err, errChanged) {
			break
		}
	}
	return f, info, err
}

// errChanged is that a name was replaced while it was looked at.
var errChanged = fmt.Errorf("the name is another file's by now: %w", fs.ErrNotExist)

// openNow is open's one attempt.
func openNow(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	f, err := root.OpenFile(filepath.FromSlash("."+name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = fs.ErrNotExist
	}
	if err == nil {
		err = checkResolved(root, name, info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// checkResolved refuses what info describes, which name in root has led to, if a link has led to something
// hidden.
func checkResolved(root *os.Root, name string, info fs.FileInfo) error {
	top, err := filepath.EvalSymlinks(root.Name())
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(filepath.Join(root.Name(), filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	below, err := filepath.Rel(top, real)
	if err != nil {
		return err
	}
	now, err := os.Lstat(real)
	if err != nil {
		return err
	}
	switch {
	case !os.SameFile(info, now):
		return errChanged
	case below != "." && isHidden("/"+filepath.ToSlash(below)):
		return fs.ErrNotExist
	}
	return nil
}

func refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, fs.ErrPermission) {
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	}
	http.Error(w, "File not found", http.StatusNotFound)
}

// redirect sends the browser to a name beside the one that it asked for. The
// Location is relative (RFC 9110 §10.2.2), because only the browser knows the
// prefix under which a reverse proxy serves this directory.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	u := url.URL{Path: "./" + to, RawQuery: r.URL.RawQuery} // a colon in the name makes no scheme
	w.Header().Set("Location", u.String())
	w.WriteHeader(http.StatusMovedPermanently)
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

func (d *Dir) serveDirectory(w http.ResponseWriter, r *http.Request, root *os.Root, f *os.File, name string) {
	for _, index := range []string{"index.html", "index.htm"} {
		if page, info, err := open(root, path.Join(name, index)); err == nil {
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
	entries, err := f.ReadDir(-1)
	if err != nil {
		refuse(w, err)
		return
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		if isHidden(path.Join(name, e.Name())) {
			return true
		}
		info, err := root.Stat(filepath.FromSlash("." + path.Join(name, e.Name())))
		if err == nil && e.Type()&fs.ModeSymlink != 0 {
			err = checkResolved(root, path.Join(name, e.Name()), info)
		}
		return err != nil // a link that leads out of the directory, to something hidden or nowhere
	})
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
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
