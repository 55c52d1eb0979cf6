package logs

import (
	"os"
	"sync"
)

// A File is a log's file, which can be opened anew when logrotate(8) has moved
// it away. Its methods may be called concurrently. A nil File is none: its
// methods but Write do nothing.
type File struct {
	name string

	mu sync.Mutex
	f  *os.File
}

// OpenFile opens a file to append to. It is made if it isn't there.
func OpenFile(name string) (*File, error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	return &File{name: name, f: f}, nil
}

func open(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
}

// Write implements io.Writer.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.f.Write(p)
}

// Reopen opens the name again. If that fails, the file stays as it is.
func (f *File) Reopen() error {
	if f == nil {
		return nil
	}
	fresh, err := open(f.name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.f
	f.f = fresh
	return old.Close()
}

// Close implements io.Closer.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.f.Close()
}
