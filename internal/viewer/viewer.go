// Package viewer is the page's side of a shadow: noVNC, embedded into the
// binary.
//
// noVNC's files are not in the repository. "make pages" fetches the release
// that package-lock.json names from npm, checks its hash and puts the files
// where they are embedded. A build without them works, and says so when it is
// asked for one:
//
//	http.Handle("/novnc/", http.StripPrefix("/novnc/", viewer.Handler()))
//	log.Fatal(http.ListenAndServe("localhost:8080", nil))
//
// A page then writes import RFB from "/novnc/core/rfb.js".
package viewer

import (
	"embed"
	"errors"
	"io/fs"
	"net/http"
)

// ErrMissing says that noVNC was not there when this program was built.
var ErrMissing = errors.New("noVNC is not in this build: run make pages, then build again")

//go:embed all:novnc
var files embed.FS

// FS is noVNC's npm package: core/rfb.js is the module to import, LICENSE.txt
// its licence. Without noVNC in the build the error is [ErrMissing].
func FS() (fs.FS, error) {
	return open(files)
}

func open(files fs.FS) (fs.FS, error) {
	novnc, err := fs.Sub(files, "novnc")
	if err != nil {
		return nil, err
	}
	if _, err := fs.Stat(novnc, "core/rfb.js"); err != nil {
		return nil, ErrMissing
	}
	return novnc, nil
}

// Handler serves [FS], or status 503 with the words of [ErrMissing].
func Handler() http.Handler {
	return handler(files)
}

func handler(files fs.FS) http.Handler {
	novnc, err := open(files)
	if err != nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		})
	}
	return http.FileServerFS(novnc)
}
