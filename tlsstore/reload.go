package tlsstore

import (
	"crypto/tls"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// reloadInterval is how long a config doesn't look at the files again.
const reloadInterval = time.Second

// A live is the pair of a config that is in use.
type live struct {
	store Store
	load  func() (*Pair, error) // Store.Load for the machine
	pair  atomic.Pointer[Pair]

	mu      sync.Mutex // of the fields below; who holds it looks at the files
	checked time.Time
	stamp   stamp
	failure string // of the last reload; "": it was a good one
}

// get is a GetCertificate. While one handshake reads a changed pair, others
// are served with the old one.
func (l *live) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if l.mu.TryLock() {
		pair, err, changed := l.reload()
		l.mu.Unlock()
		if changed && l.store.OnReload != nil {
			l.store.OnReload(pair, err)
		}
	}
	return &l.pair.Load().Certificate, nil
}

// reload takes the pair that is in the files if they have changed and it is a
// good one. changed is false if there is nothing new to say. After a failure the
// files are read each time: what was wrong may be mended where no stamp shows
// it, in a directory above.
func (l *live) reload() (pair *Pair, err error, changed bool) {
	now := time.Now()
	if now.Sub(l.checked) < reloadInterval {
		return nil, nil, false
	}
	l.checked = now
	// Taken before the files are read: what changes meanwhile is seen next time.
	stamp := l.store.stamp()
	if stamp == l.stamp && l.failure == "" {
		return nil, nil, false
	}
	l.stamp = stamp
	before := l.failure
	if pair, err = l.load(); err != nil {
		l.failure = err.Error()
		return nil, err, l.failure != before
	}
	l.failure = ""
	l.pair.Store(pair)
	return pair, nil, true
}

// A stamp tells one state of the files from another, without their content.
// It is a comparable value; the zero fields of a file are those of a missing
// one.
type stamp struct {
	dir        fileStamp // of which files there are
	cert, key  fileStamp
	passphrase [2]fileStamp
}

type fileStamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec // ctime: mode and owner count too
}

// stamp looks at the files that Load would read, symbolic links followed.
func (s *Store) stamp() stamp {
	dir := s.dir()
	st := stamp{dir: stampOf(dir)}
	if f, err := find(dir); err == nil {
		st.cert, st.key = stampOf(f.cert), stampOf(f.key)
	}
	st.passphrase[0] = stampOf(filepath.Join(dir, passphraseName))
	if credentials := s.credentials(); credentials != "" {
		st.passphrase[1] = stampOf(filepath.Join(credentials, passphraseName))
	}
	return st
}

func stampOf(path string) fileStamp {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return fileStamp{}
	}
	return fileStamp{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}
}
