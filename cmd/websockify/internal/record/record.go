// Package record writes the files that noVNC's tests/vnc_playback.html plays:
// JavaScript with one string for each piece of a session,
//
//	var VNC_frame_data = [
//	'{12{RFB 003.008\n',
//	'}34}RFB 003.008\n',
//	'EOF'];
//
// where "{" is to the client and "}" from it, and the number is the
// milliseconds since the session began.
//
//	f, err := record.Create("/tmp/session.1")
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	target = f.Tap(target) // read and write through it from now on
package record

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// A File is the recording of one session. Its methods may be called concurrently.
type File struct {
	start time.Time

	mu     sync.Mutex
	f      *os.File
	w      *bufio.Writer
	err    error // the first
	closed bool
}

// Create begins a recording in a new file that only its owner can read, because
// what a user types may be in it. A regular file of that name is replaced, not
// written to: others may have it open. Anything else, a symbolic link above
// all, is an error.
func Create(name string) (*File, error) {
	const fresh = os.O_WRONLY | os.O_CREATE | os.O_EXCL // which follows no link (open(2))
	f, err := os.OpenFile(name, fresh, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if err = remove(name); err == nil {
			f, err = os.OpenFile(name, fresh, 0o600)
		}
	}
	if err != nil {
		return nil, err
	}
	return newFile(f), nil
}

// remove removes a regular file.
func remove(name string) error {
	info, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s exists and isn't a regular file: remove it, or give --record another name", name)
	}
	return os.Remove(name)
}

func newFile(f *os.File) *File {
	r := &File{start: time.Now(), f: f, w: bufio.NewWriterSize(f, 64<<10)}
	_, r.err = r.w.WriteString("var VNC_frame_data = [\n")
	return r
}

// Tap returns a connection to a target whose traffic is recorded. The
// recording goes on without error if the disk is full; Close tells.
func (r *File) Tap(target net.Conn) net.Conn { return &tap{target, r, '{', '}'} }

// TapViewer is Tap for a connection to a client, for whoever doesn't pass on what the target sends as it is.
func (r *File) TapViewer(viewer net.Conn) net.Conn { return &tap{viewer, r, '}', '{'} }

// Close ends the recording and returns the first error that it met with.
func (r *File) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return os.ErrClosed
	}
	r.closed = true
	r.note(r.w.WriteString("'EOF'];\n"))
	if err := r.w.Flush(); r.err == nil {
		r.err = err
	}
	if err := r.f.Close(); r.err == nil {
		r.err = err
	}
	return r.err
}

func (r *File) add(direction byte, p []byte) {
	if len(p) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.err != nil {
		return
	}
	b := append(r.w.AvailableBuffer(), '\'', direction)
	b = strconv.AppendInt(b, time.Since(r.start).Milliseconds(), 10)
	b = appendEscaped(append(b, direction), p)
	r.note(r.w.Write(append(b, "',\n"...)))
}

func (r *File) note(_ int, err error) {
	if r.err == nil {
		r.err = err
	}
}

// appendEscaped writes p as Python's unicode_escape does, with ' escaped, too.
func appendEscaped(b, p []byte) []byte {
	const hex = "0123456789abcdef"
	for _, c := range p {
		switch {
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\\', c == '\'':
			b = append(b, '\\', c)
		case c < ' ' || c >= 0x7f:
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return b
}

// A tap is a connection. It hides CloseWrite and other ways round it.
type tap struct {
	net.Conn
	file          *File
	read, written byte // the directions
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.file.add(t.read, p[:n])
	return n, err
}

func (t *tap) Write(p []byte) (int, error) {
	t.file.add(t.written, p)
	return t.Conn.Write(p)
}

// CloseWrite tells the target that the client is done, if it can be told.
func (t *tap) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("%T can't close one direction", t.Conn)
}
