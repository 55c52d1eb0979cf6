package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"vda.internal/shadow/internal/usage"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/trace"
)

// capture writes a session down while it happens, to a file that is there
// before anybody is let in. What can't be read is kept all the same: it is what
// a capture is made for.
func capture(ctx context.Context, args []string, stdout *os.File) error {
	f := flag.NewFlagSet("capture", flag.ContinueOnError)
	listen := f.String("listen", "", "")
	server := f.String("server", "", "")
	var about trace.Header
	f.StringVar(&about.Note, "note", "", "")
	f.StringVar(&about.Server, "server-name", "", "")
	f.StringVar(&about.Viewer, "viewer-name", "", "")
	name, err := parseOne(f, args)
	if err != nil {
		return err
	}
	network, addr, err := address(*server)
	if err != nil {
		return err
	}
	file, err := createCapture(name, about)
	if err != nil {
		return err
	}
	defer file.abandon()
	told := beside(name, stdout)
	viewer, err := accept(ctx, *listen, told)
	if err != nil {
		return err
	}
	defer viewer.Close()
	upstream, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	defer upstream.Close()
	if err := file.begin(); err != nil {
		return err
	}
	stop := file.flushEvery(time.Second)
	err = carry(ctx, viewer, upstream, file.write)
	stop()
	if err := cmp.Or(err, file.end()); err != nil {
		return fmt.Errorf("%s ends before its session did: %w", name, err)
	}
	if !file.regular {
		return nil
	}
	return trim(name, file.ours, told)
}

// A captureFile is the file of a capture that is under way.
type captureFile struct {
	file    *os.File
	regular bool // not a pipe or a device
	ours    bool // nothing was there before
	begun   bool

	mu    sync.Mutex
	pack  *gzip.Writer // nil: not packed
	out   *bufio.Writer
	trace *trace.Writer
	last  time.Duration // time of the chunk written last
	fresh bool          // there is something to flush
	err   error         // the first; nothing is written after it
}

// createCapture opens the file, which only its owner may read: keys and
// passwords will be in it. One that exists keeps its content until begin.
func createCapture(name string, about trace.Header) (*captureFile, error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	ours := err == nil
	if errors.Is(err, fs.ErrExist) {
		file, err = os.OpenFile(name, os.O_WRONLY, 0)
	}
	if err != nil {
		return nil, err
	}
	c := &captureFile{file: file, ours: ours, out: bufio.NewWriterSize(file, 64<<10), fresh: true}
	info, err := file.Stat()
	if err != nil {
		c.abandon()
		return nil, err
	}
	c.regular = info.Mode().IsRegular()
	var w io.Writer = c.out
	if packed(name) { // in little time: the session waits for it
		c.pack = newPacker(c.out, gzip.BestSpeed)
		w = c.pack
	}
	if c.trace, err = trace.NewWriter(w, about); err != nil {
		c.abandon()
		return nil, &usage.Error{Err: err}
	}
	return c, nil
}

// begin makes the file the session's: its mode and its content, unless it is a
// pipe or a device.
func (c *captureFile) begin() error {
	c.begun = true
	if c.regular {
		if err := cmp.Or(c.file.Chmod(0o600), c.file.Truncate(0)); err != nil {
			return err
		}
	}
	return c.flush()
}

// write adds a chunk. Both peers' chunks may come at once; they are in the order
// of their times.
func (c *captureFile) write(chunk trace.Chunk) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		chunk.At = max(chunk.At, c.last)
		c.last, c.fresh = chunk.At, true
		c.err = c.trace.Write(chunk)
	}
	return c.err
}

// flush hands what was written to the system, where it stays if this program is
// killed.
func (c *captureFile) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || !c.fresh {
		return c.err
	}
	c.fresh = false
	if c.pack != nil {
		c.err = c.pack.Flush()
	}
	if c.err == nil {
		c.err = c.out.Flush()
	}
	return c.err
}

// flushEvery flushes now and then until stop is called, which waits for the last
// one. An error is the next write's.
func (c *captureFile) flushEvery(period time.Duration) (stop func()) {
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = c.flush()
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-gone }
}

// end writes what is left to write. It returns the first error; those after it
// follow from it.
func (c *captureFile) end() error {
	var err error
	if c.pack != nil {
		err = c.pack.Close()
	}
	return cmp.Or(err, c.out.Flush(), c.file.Close())
}

// abandon closes the file, and removes it if it is new and there was no session.
func (c *captureFile) abandon() {
	if c.ours && !c.begun {
		_ = os.Remove(c.file.Name())
	}
	_ = c.file.Close()
}

// trim leaves the messages out that a capture ends within: it ends where a
// connection did. A packed one that is ours, not a file that was there before, is
// packed well now that nobody waits, if that can be done. A capture that can't be
// read stays as it is.
func trim(name string, ours bool, stdout io.Writer) error {
	cut, err := trimmed(name, nil)
	if err != nil {
		return err
	}
	if cut == 0 && !(ours && packed(name)) {
		return nil
	}
	err = save(name, func(w io.Writer) error { _, err := trimmed(name, w); return err })
	switch {
	case cut == 0: // it is as good, and larger
		return nil
	case err != nil:
		return fmt.Errorf("%s holds the whole session, but also %d bytes of messages that did not end, which can't be left out: %w", name, cut, err)
	}
	leftOut(stdout, cut)
	return nil
}

// trimmed writes a capture up to its last whole message to w, unless that is nil,
// and returns how many bytes come after that.
func trimmed(name string, w io.Writer) (int64, error) {
	s, err := open(name)
	if err != nil {
		return 0, fmt.Errorf("the file holds the whole session, but %w", err)
	}
	defer s.close()
	write := func(trace.Chunk) error { return nil }
	if w != nil {
		out, err := trace.NewWriter(w, s.Header)
		if err != nil {
			return 0, err
		}
		write = out.Write
	}
	var t trace.Trimmer
	for c, err := range t.Trim(s.chunks()) {
		if err != nil {
			return 0, fmt.Errorf("%s holds the whole session, but it can't be read to its end: %w", name, err)
		}
		if err := write(c); err != nil {
			return 0, err
		}
	}
	if s.cut != nil {
		return 0, fmt.Errorf("the file holds the whole session, but %w", s.cut)
	}
	return t.Cut, nil
}

// carry copies between the peers until one of them is gone, and has write keep
// what they say, both of them at once. Its error is write's: what can't be kept
// isn't carried either.
func carry(ctx context.Context, viewer, server net.Conn, write func(trace.Chunk) error) error {
	begin := time.Now()
	var once sync.Once
	var failed error
	keep := func(from rfb.Direction, p []byte) bool {
		err := write(trace.Chunk{From: from, At: time.Since(begin), Data: p})
		if err != nil {
			once.Do(func() { failed = err })
		}
		return err == nil
	}
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { viewer.Close(); server.Close() })
	defer stop()
	one := func(from rfb.Direction, src, dst net.Conn) {
		defer viewer.Close()
		defer server.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := src.Read(buf)
			if n > 0 && !keep(from, buf[:n]) {
				return
			}
			if n > 0 {
				if _, err := dst.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	wg.Go(func() { one(rfb.FromViewer, viewer, server) })
	wg.Go(func() { one(rfb.FromServer, server, viewer) })
	wg.Wait()
	return failed
}
