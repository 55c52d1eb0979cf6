package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vda.internal/shadow/internal/usage"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/trace"
)

// A source is a trace or a recording that is being read.
type source struct {
	*trace.Reader
	name string
	file *os.File
	cut  error // the file was cut off; known once its chunks were read
}

// open opens a trace or a recording. The caller closes it.
func open(name string) (*source, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	s := &source{name: name, file: f}
	s.Reader, err = trace.NewReader(f)
	if no := err; errors.Is(err, trace.ErrFormat) {
		if _, err = f.Seek(0, io.SeekStart); err != nil { // a pipe
			s.close()
			return nil, fmt.Errorf("%s: %w", name, no)
		}
		if s.Reader, err = trace.NewFBSReader(f); errors.Is(err, trace.ErrFormat) {
			err = fmt.Errorf("%w; %w", no, err)
		}
	}
	if s.Reader == nil {
		s.close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func (s *source) close() { _ = s.file.Close() }

// chunks are the source's. That it was cut off is no error of them, but noted.
func (s *source) chunks() iter.Seq2[trace.Chunk, error] {
	return func(yield func(trace.Chunk, error) bool) {
		for c, err := range s.Chunks() {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				s.cut = fmt.Errorf("%s was cut off, and there is no more than this: %w", s.name, err)
				return
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// packed reports whether a file of this name is to be packed.
func packed(name string) bool { return strings.HasSuffix(name, ".gz") }

// newPacker packs what is written to it. A packed file has no time in it, so
// that the same trace gives the same file.
func newPacker(w io.Writer, level int) *gzip.Writer {
	z, err := gzip.NewWriterLevel(w, level)
	if err != nil {
		panic(err) // of the level
	}
	return z
}

// save writes a file through write, packed if its name says so. The file is there
// when it is complete: if that fails what was there stays, or nothing. Only its
// owner may read a new one, for what is on a screen is in it; one that is replaced
// leaves its mode behind, and its other names. What a symbolic link leads to is
// replaced, not the link. A pipe or a device is written to.
func save(name string, write func(io.Writer) error) error {
	pack, mode := packed(name), fs.FileMode(0o600)
	switch info, err := os.Stat(name); {
	case err == nil && !info.Mode().IsRegular():
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return cmp.Or(fill(f, pack, write), f.Close())
	case err == nil:
		may, err := os.OpenFile(name, os.O_WRONLY, 0) // a file that may not be written stays
		if err != nil {
			return err
		}
		_ = may.Close()
		mode = info.Mode().Perm()
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		if _, none := os.Lstat(name); none == nil { // a link to nothing
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	if err := cmp.Or(fill(f, pack, write), f.Chmod(mode), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return nil
}

// fill returns the first error; those after it follow from it.
func fill(f *os.File, pack bool, write func(io.Writer) error) error {
	b := bufio.NewWriter(f)
	if !pack {
		return cmp.Or(write(b), b.Flush())
	}
	z := newPacker(b, gzip.BestCompression)
	return cmp.Or(write(z), z.Close(), b.Flush())
}

// each calls do for each file, whole or not, up to one that has an error or was
// cut off.
func each(args []string, stdout *os.File, do func(w io.Writer, s *source) error) error {
	files, err := parse(flag.NewFlagSet("", flag.ContinueOnError), args)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usage.Errorf("no FILE")
	}
	w := bufio.NewWriter(stdout)
	for _, name := range files {
		if err := one(w, name, len(files) > 1, do); err != nil {
			return errors.Join(w.Flush(), err)
		}
	}
	return w.Flush()
}

// one is each for one file.
func one(w io.Writer, name string, named bool, do func(w io.Writer, s *source) error) error {
	s, err := open(name)
	if err != nil {
		return err
	}
	defer s.close()
	if named {
		fmt.Fprintf(w, "%s:\n", name)
	}
	if err := do(w, s); err != nil && (s.cut == nil || !errors.Is(err, io.ErrUnexpectedEOF)) {
		return errors.Join(fmt.Errorf("%s: %w", name, err), s.cut)
	}
	return s.cut
}

func printEvents(_ context.Context, args []string, stdout *os.File) error {
	return each(args, stdout, func(w io.Writer, s *source) error {
		about(w, s.Header)
		for e, err := range trace.Events(s.chunks()) {
			if err != nil {
				return err
			}
			fmt.Fprintln(w, e)
		}
		return nil
	})
}

// about prints what a trace says about itself.
func about(w io.Writer, h trace.Header) {
	for _, line := range []struct{ key, value string }{{"server", h.Server}, {"viewer", h.Viewer}, {"note", h.Note}} {
		if line.value != "" {
			fmt.Fprintf(w, "%s: %s\n", line.key, line.value)
		}
	}
}

func handshake(_ context.Context, args []string, stdout *os.File) error {
	return each(args, stdout, func(w io.Writer, s *source) error {
		var d trace.Decoder
		h := d.Handshake()
		var failed error
		empty := true
		for c, err := range s.chunks() { // to their end, for it may have been cut off
			if err != nil {
				failed = cmp.Or(failed, err)
				break
			}
			empty = false
			if failed != nil || h.Done() {
				continue
			}
			for _, err := range d.Feed(c) {
				if err != nil && !h.Done() {
					failed = err
				}
			}
		}
		fmt.Fprint(w, h)
		if failed == nil && empty {
			return errors.New("the trace is empty: no peer said anything")
		}
		return failed
	})
}

func summary(_ context.Context, args []string, stdout *os.File) error {
	return each(args, stdout, func(w io.Writer, s *source) error {
		about(w, s.Header)
		type total struct{ count, bytes int }
		totals := make(map[string]total)
		for e, err := range trace.Events(s.chunks()) {
			if err != nil {
				return err
			}
			what := "message "
			if e.Rectangle != nil {
				what = "rectangle "
			}
			key := fmt.Sprintf("%-6v %s%s", e.From, what, e.Name())
			n := totals[key]
			totals[key] = total{n.count + 1, n.bytes + e.Len}
		}
		for _, key := range slices.Sorted(maps.Keys(totals)) {
			fmt.Fprintf(w, "%-48s %6d %9d bytes\n", key, totals[key].count, totals[key].bytes)
		}
		return nil
	})
}

// maxCuts is how many bytes verify feeds one by one.
const maxCuts = 1 << 20

// verify reads a trace to its last byte, as it was captured, byte by byte, and
// cut at random; each must give the same. What comes after maxCuts bytes is cut
// into larger pieces.
func verify(_ context.Context, args []string, stdout *os.File) error {
	return each(args, stdout, func(w io.Writer, s *source) error {
		readings := []*reading{
			newReading(func(_ int64, n int) int { return n }),
			newReading(byBytes),
			newReading(func(_ int64, n int) int { return 1 + rand.IntN(n) }),
		}
		for c, err := range s.chunks() {
			if err != nil {
				return err
			}
			for _, r := range readings {
				if err := r.cut(c); err != nil {
					return err
				}
			}
		}
		for _, r := range readings {
			if err := r.end(); err != nil {
				return err
			}
			if !bytes.Equal(r.sum.Sum(nil), readings[0].sum.Sum(nil)) {
				return errors.New("cut in another way it reads otherwise")
			}
		}
		what, end := "messages and rectangles", ", to the last byte"
		if readings[0].events == 1 {
			what = "message"
		}
		if s.cut != nil {
			end = ""
		}
		fmt.Fprintf(w, "%d %s%s\n", readings[0].events, what, end)
		return nil
	})
}

// byBytes cuts into bytes, for a while.
func byBytes(done int64, left int) int {
	if done < maxCuts {
		return 1
	}
	return min(left, 1<<10)
}

// A reading is what there is in a trace that is cut in one way: how many events,
// and a hash of what they say without their times.
type reading struct {
	size   func(done int64, left int) int // of the next piece of a chunk
	done   int64                          // bytes that were read
	d      trace.Decoder
	events int
	sum    hash.Hash
}

func newReading(size func(done int64, left int) int) *reading {
	return &reading{size: size, sum: sha256.New()}
}

// cut reads a chunk piece by piece.
func (r *reading) cut(c trace.Chunk) error {
	for len(c.Data) > 0 {
		n := r.size(r.done, len(c.Data))
		if err := r.feed(trace.Chunk{From: c.From, At: c.At, Data: c.Data[:n]}); err != nil {
			return err
		}
		c.Data = c.Data[n:]
		r.done += int64(n)
	}
	return nil
}

func (r *reading) feed(c trace.Chunk) error {
	for e, err := range r.d.Feed(c) {
		if err != nil {
			return err
		}
		e.At = 0
		r.events++
		fmt.Fprintln(r.sum, e)
	}
	return nil
}

func (r *reading) end() error {
	if err := r.d.End(); err != nil {
		return err
	}
	return r.feed(trace.Chunk{From: rfb.FromServer}) // a refusal without a reason is an event now
}

// toFBS writes a recording of what is complete: players and verify want it to end
// where a message does.
func toFBS(_ context.Context, args []string, stdout *os.File) error {
	files, err := parse(flag.NewFlagSet("", flag.ContinueOnError), args)
	if err != nil {
		return err
	}
	if len(files) != 2 {
		return usage.Errorf("wants TRACE and RECORDING")
	}
	s, err := open(files[0])
	if err != nil {
		return err
	}
	defer s.close()
	told := beside(files[1], stdout)
	var t trace.Trimmer
	err = save(files[1], func(w io.Writer) error {
		out := trace.NewFBSWriter(w)
		for c, err := range t.Trim(s.chunks()) {
			if err != nil {
				return fmt.Errorf("%s: %w", files[0], err)
			}
			if err := out.Write(c); err != nil {
				return err
			}
		}
		return out.Close()
	})
	if err != nil {
		return errors.Join(err, s.cut)
	}
	leftOut(told, t.Cut)
	return s.cut
}

// beside is where people are told something while a file is written: stdout, unless
// that is the file, as /dev/stdout is.
func beside(name string, stdout *os.File) *os.File {
	a, err := os.Stat(name)
	if err != nil {
		return stdout
	}
	if b, err := stdout.Stat(); err == nil && os.SameFile(a, b) {
		return os.Stderr
	}
	return stdout
}

// leftOut tells that bytes were left out, if some were.
func leftOut(w io.Writer, n int64) {
	if n > 0 {
		fmt.Fprintf(w, "left out %d bytes of messages that did not end\n", n)
	}
}
