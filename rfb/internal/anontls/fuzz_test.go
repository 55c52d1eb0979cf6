package anontls

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// A recorded server says what it says, whatever it hears.
type recorded struct {
	net.Conn // nil: nothing else is called
	io.Reader
}

func (r recorded) Read(p []byte) (int, error)       { return r.Reader.Read(p) }
func (r recorded) Write(p []byte) (int, error)      { return len(p), nil }
func (r recorded) SetWriteDeadline(time.Time) error { return nil }

// always is a source of numbers that are the same.
type always byte

func (a always) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(a)
	}
	return len(p), nil
}

// FuzzServer lets the fuzzer be the server up to its key exchange; what comes after it can't make up.
func FuzzServer(f *testing.F) {
	near, far := net.Pipe()
	var said bytes.Buffer
	s := &server{random: always(7)}
	go func() { _ = s.accept(heardBy{far, &said}); far.Close() }()
	_, err := client(near, always(9))
	near.Close()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(said.Bytes())
	f.Add([]byte("\x15\x03\x03\x00\x02\x02\x28"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := client(recorded{Reader: bytes.NewReader(b)}, always(9))
		if err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	})
}

// heardBy is a connection what is written to which is kept.
type heardBy struct {
	net.Conn
	w io.Writer
}

func (h heardBy) Write(p []byte) (int, error) {
	_, _ = h.w.Write(p)
	return h.Conn.Write(p)
}

// FuzzTampering has somebody in between who changes, leaves out or adds bytes: what the client reads is what the
// server said, up to some place, and no end is one but the server's.
func FuzzTampering(f *testing.F) {
	f.Add(uint16(0), uint16(0), []byte{})
	f.Add(uint16(500), uint16(1), []byte{0})
	f.Add(uint16(720), uint16(0), []byte{21, 3, 3, 0, 2, 1, 0})
	f.Add(uint16(700), uint16(40), []byte{})
	said := bytes.Repeat([]byte("what the server says"), 10)
	f.Fuzz(func(t *testing.T, at, cut uint16, put []byte) {
		near, far := net.Pipe()
		defer near.Close()
		between := &tamper{Conn: far, at: int(at), cut: int(cut), put: put, near: near}
		done := background(func() error {
			defer far.Close()
			s := &server{random: always(7)}
			if err := s.accept(between); err != nil {
				return err
			}
			for p := said; len(p) > 0; p = p[20:] {
				if err := s.send(typeData, p[:20]); err != nil {
					return err
				}
			}
			return s.send(typeAlert, []byte{1, 0})
		})
		_ = near.SetDeadline(time.Now().Add(waitFor))
		c, err := client(near, always(9))
		if err == nil {
			var got []byte
			got, err = io.ReadAll(c)
			if !bytes.HasPrefix(said, got) {
				t.Errorf("read %q", got)
			}
			if err == nil && len(got) < len(said) {
				t.Error("cut without an error")
			}
		}
		if err != nil && !between.changed {
			t.Errorf("not changed, and %v", err)
		}
		near.Close()
		<-done
	})
}

// A tamper takes cut bytes at a place of what is written, and puts others there.
type tamper struct {
	net.Conn
	at, cut int
	put     []byte
	seen    int
	changed bool
	near    net.Conn // whose reader may wait for ever, once something is missing
}

func (w *tamper) Write(p []byte) (int, error) {
	b := bytes.Clone(p)
	if from := w.at - w.seen; from >= 0 && from < len(b) {
		to := min(from+w.cut, len(b))
		changed := append(append(bytes.Clone(b[:from]), w.put...), b[to:]...)
		if b, w.changed = changed, !bytes.Equal(changed, b); w.changed {
			_ = w.near.SetDeadline(time.Now().Add(10 * time.Millisecond))
		}
	}
	w.seen += len(p)
	if len(b) == 0 {
		return len(p), nil
	}
	if _, err := w.Conn.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}
