package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vda.internal/shadow/rfb"
)

// load reads a trace or a recording. Of one that was cut off it returns what
// there is as well as the error.
func load(name string) (*rfb.Trace, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := rfb.ReadTrace(f)
	if no := err; errors.Is(err, rfb.ErrFormat) {
		if _, err = f.Seek(0, io.SeekStart); err != nil { // a pipe
			return nil, fmt.Errorf("%s: %w", name, no)
		}
		if t, err = rfb.ReadFBS(f); errors.Is(err, rfb.ErrFormat) {
			err = fmt.Errorf("%w; %w", no, err)
		}
	}
	switch {
	case t != nil && err != nil:
		return t, fmt.Errorf("%s was cut off, and there is no more than this: %w", name, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
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
func each(args []string, stdout *os.File, do func(w io.Writer, t *rfb.Trace, whole bool) error) error {
	files, err := parse(flag.NewFlagSet("", flag.ContinueOnError), args)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usageError("no FILE")
	}
	w := bufio.NewWriter(stdout)
	for _, name := range files {
		t, cut := load(name)
		if t == nil {
			return errors.Join(w.Flush(), cut)
		}
		if len(files) > 1 {
			fmt.Fprintf(w, "%s:\n", name)
		}
		if err := do(w, t, cut == nil); err != nil && (cut == nil || !errors.Is(err, io.ErrUnexpectedEOF)) {
			return errors.Join(w.Flush(), fmt.Errorf("%s: %w", name, err), cut)
		}
		if cut != nil {
			return errors.Join(w.Flush(), cut)
		}
	}
	return w.Flush()
}

func printEvents(_ context.Context, args []string, stdout *os.File) error {
	return each(args, stdout, func(w io.Writer, t *rfb.Trace, _ bool) error {
		about(w, t)
		for e, err := range t.Events() {
			if err != nil {
				return err
			}
			fmt.Fprintln(w, e)
		}
		return nil
	})
}

// about prints what a trace says about itself.
func about(w io.Writer, t *rfb.Trace) {
	for _, line := range []struct{ key, value string }{{"server", t.Server}, {"viewer", t.Viewer}, {"note", t.Note}} {
		if line.value != "" {
			fmt.Fprintf(w, "%s: %s\n", line.key, line.value)
		}
	}
}

func handshake(_ context.Context, args []string, stdout *os.File) error {
	return each(args, stdout, func(w io.Writer, t *rfb.Trace, _ bool) error {
		h, err := t.Handshake()
		fmt.Fprint(w, h)
		if err == nil && len(t.Chunks) == 0 {
			return errors.New("the trace is empty: no peer said anything")
		}
		return err
	})
}

func summary(_ context.Context, args []string, stdout *os.File) error {
	return each(args, stdout, func(w io.Writer, t *rfb.Trace, _ bool) error {
		about(w, t)
		type total struct{ count, bytes int }
		totals := make(map[string]total)
		for e, err := range t.Events() {
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

// maxCuts is about how many chunks verify cuts a trace into at most.
const maxCuts = 1 << 20

// verify reads a trace to its last byte, as it was captured, byte by byte, and
// cut at random; each must give the same. A large trace is cut into maxCuts
// pieces instead of bytes.
func verify(_ context.Context, args []string, stdout *os.File) error {
	return each(args, stdout, func(w io.Writer, t *rfb.Trace, whole bool) error {
		want, err := digest(t)
		if err != nil {
			return err
		}
		size := 0
		for _, c := range t.Chunks {
			size += len(c.Data)
		}
		for _, cut := range []func(int) int{
			func(n int) int { return min(n, 1+size/maxCuts) },
			func(n int) int { return 1 + rand.IntN(n) },
		} {
			again, err := digest(recut(t, cut))
			if err != nil {
				return err
			}
			if want != again {
				return errors.New("cut in another way it reads otherwise")
			}
		}
		what, end := "messages and rectangles", ", to the last byte"
		if want.events == 1 {
			what = "message"
		}
		if !whole {
			end = ""
		}
		fmt.Fprintf(w, "%d %s%s\n", want.events, what, end)
		return nil
	})
}

// A reading is what there is in a trace: how many events, and a hash of what
// they say without their times.
type reading struct {
	events int
	sum    [sha256.Size]byte
}

func digest(t *rfb.Trace) (r reading, err error) {
	h := sha256.New()
	for e, err := range t.Events() {
		if err != nil {
			return r, err
		}
		e.At = 0
		r.events++
		fmt.Fprintln(h, e)
	}
	h.Sum(r.sum[:0])
	return r, nil
}

// recut cuts a trace's chunks into smaller ones; size says how much of what is
// left of one comes next.
func recut(t *rfb.Trace, size func(left int) int) *rfb.Trace {
	again := *t
	again.Chunks = nil
	for _, c := range t.Chunks {
		for len(c.Data) > 0 {
			n := size(len(c.Data))
			again.Chunks = append(again.Chunks, rfb.Chunk{From: c.From, At: c.At, Data: c.Data[:n]})
			c.Data = c.Data[n:]
		}
	}
	return &again
}

// toFBS writes a recording of what is complete: players and verify want it to end
// where a message does.
func toFBS(_ context.Context, args []string, stdout *os.File) error {
	files, err := parse(flag.NewFlagSet("", flag.ContinueOnError), args)
	if err != nil {
		return err
	}
	if len(files) != 2 {
		return usageError("wants TRACE and RECORDING")
	}
	t, cut := load(files[0])
	if t == nil {
		return cut
	}
	n, err := t.Trim()
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", files[0], err), cut)
	}
	told := beside(files[1], stdout)
	if err := save(files[1], t.WriteFBS); err != nil {
		return errors.Join(err, cut)
	}
	leftOut(told, n)
	return cut
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
