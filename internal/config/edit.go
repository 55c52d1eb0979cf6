package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"vda.internal/shadow/internal/ctxreg"
	"vda.internal/shadow/internal/keyfile"
)

// Set writes one of the VDA's two values into the file at path (empty:
// DefaultPath), and nothing else: comments, order and notation of all other
// lines stay. A file that isn't there is made, with its directory; one that
// has errors is left alone, and they are the error.
//
// The file is replaced in one step, so that whoever reads it meanwhile sees
// the old or the new one; owner, group and mode stay. If path is a symbolic
// link, what it leads to is replaced, or made. Changes that are made at the
// same time wait for each other, at most 10 s, by a lock on the empty file
// .NAME.lock beside it.
func Set(path, name string, value uint32) error {
	return edit(path, func(data []byte) ([]byte, error) { return setValue(data, name, value) })
}

// ErrExists reports that the value already exists.
var ErrExists = errors.New("the value is there already")

// Create writes one of the VDA's two values as Set does, unless it is in the
// file already, whatever its data: then the error wraps [ErrExists]. Of several
// that create it at the same time one succeeds.
func Create(path, name string, value uint32) error {
	return edit(path, func(data []byte) ([]byte, error) {
		n, there, err := valueOf(data, name)
		switch {
		case err != nil:
			return nil, err
		case there:
			return nil, fmt.Errorf("%w: %s is %s", ErrExists, name, ctxreg.FormatData(n))
		}
		return setValue(data, name, value)
	})
}

// Delete takes one of the VDA's two values out of the file, so that its
// default counts, in the way that Set writes one. It reports whether the value
// was there.
func Delete(path, name string) (was bool, err error) {
	err = edit(path, func(data []byte) ([]byte, error) {
		var changed []byte
		changed, was, err = deleteValue(data, name)
		return changed, err
	})
	return was, err
}

// Values are the VDA's two values in the file at path, as far as they are
// there. A file that has errors is one.
func Values(path string) (ctxreg.Values, error) {
	data, err := load(path)
	if err != nil {
		return nil, err
	}
	values := ctxreg.Values{}
	for _, name := range ctxreg.Names() {
		n, there, err := valueOf(data, name)
		if err != nil {
			return nil, err
		}
		if there {
			values[name] = n
		}
	}
	return values, nil
}

// valueOf is the data of a key in a document that is known to be valid.
func valueOf(data []byte, name string) (n uint32, there bool, err error) {
	spots, err := find(data, name)
	if err != nil || spots.value == nil {
		return 0, false, err
	}
	if n, err = parseNumber(spots.value.of(data)); err != nil {
		return 0, false, fmt.Errorf("%s: %w", name, err)
	}
	return n, true, nil
}

// parseNumber reads a value as Load does, in whatever of TOML's notations:
// 1, +1, -0, 0x1, 0o1, 0b1, 0x0000_0001.
func parseNumber(text []byte) (uint32, error) {
	var doc struct{ N uint32 }
	err := toml.Unmarshal(append([]byte("N = "), text...), &doc)
	return doc.N, err
}

// load reads a file that may be missing, but may have no errors.
func load(path string) ([]byte, error) {
	name := orDefault(path)
	data, err := keyfile.Load(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := parse(name, data); err != nil {
		return nil, err
	}
	return data, nil
}

func orDefault(path string) string {
	if path == "" {
		return DefaultPath
	}
	return path
}

// edit replaces the file by what change makes of it.
func edit(path string, change func([]byte) ([]byte, error)) error {
	path, err := target(orDefault(path))
	if err != nil {
		return err
	}
	// Where there is nothing to do, neither a directory nor a lock is made.
	before, after, err := changed(path, change)
	if err != nil || bytes.Equal(before, after) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	if before, after, err = changed(path, change); err != nil || bytes.Equal(before, after) {
		return err
	}
	if err := replace(path, after); err != nil {
		return err
	}
	return nil
}

// changed is the file, and what change makes of it, which has no errors.
func changed(path string, change func([]byte) ([]byte, error)) (before, after []byte, err error) {
	if before, err = load(path); err != nil {
		return nil, nil, err
	}
	if after, err = change(before); err != nil {
		return nil, nil, err
	}
	if _, err := parse(path, after); err != nil {
		return nil, nil, fmt.Errorf("the change would make errors: %w", err)
	}
	return before, after, nil
}

// replace writes a file beside path and puts it there in path's place.
func replace(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	mode, uid, gid := fs.FileMode(0o644), -1, -1
	switch info, err := os.Stat(path); {
	case err == nil:
		st := info.Sys().(*syscall.Stat_t)
		mode, uid, gid = info.Mode().Perm(), int(st.Uid), int(st.Gid)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil && (uid != os.Geteuid() || gid != os.Getegid()) {
		err = f.Chown(uid, gid)
	}
	if err == nil {
		err = f.Chmod(mode) // after the owner, who may lose bits by the change
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir last through a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// A span is a part of a file.
type span struct{ start, end int }

func (s span) of(data []byte) []byte { return data[s.start:s.end] }

// spots are the places in a file that matter for one key of its top level.
type spots struct {
	value *span // of the key; nil: it isn't there
	line  span  // of the key, with its line break; a comment behind it belongs to it
	room  int   // where a line for the key can be put
}

// find looks for a key in a document that is known to be valid.
func find(data []byte, name string) (spots, error) {
	var p unstable.Parser
	p.Reset(data)
	s := spots{room: -1}
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
			if s.room < 0 {
				s.room = aboveComments(data, lineStart(data, keyOffset(e)))
			}
			break
		}
		if e.Kind != unstable.KeyValue {
			continue
		}
		value := e.Value()
		end := lineEnd(data, int(e.Raw.Offset+e.Raw.Length))
		s.room = end
		if key := e.Key(); key.Next() && key.IsLast() && string(key.Node().Data) == name {
			s.value = &span{int(value.Raw.Offset), int(value.Raw.Offset + value.Raw.Length)}
			s.line = span{lineStart(data, keyOffset(e)), end}
		}
	}
	if s.room < 0 {
		s.room = len(data)
	}
	return s, p.Error()
}

// keyOffset is where the key of a line begins.
func keyOffset(e *unstable.Node) int {
	key := e.Key()
	key.Next()
	return int(key.Node().Raw.Offset)
}

func lineStart(data []byte, at int) int { return bytes.LastIndexByte(data[:at], '\n') + 1 }

func lineEnd(data []byte, at int) int {
	if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(data)
}

// aboveComments goes up over the comments that stand right above a line.
func aboveComments(data []byte, at int) int {
	for at > 0 {
		above := lineStart(data, at-1)
		if !bytes.HasPrefix(bytes.TrimLeft(data[above:at], " \t"), []byte("#")) {
			break
		}
		at = above
	}
	return at
}

// setValue is the document with the key set.
func setValue(data []byte, name string, value uint32) ([]byte, error) {
	s, err := find(data, name)
	if err != nil {
		return nil, err
	}
	text := strconv.FormatUint(uint64(value), 10)
	if s.value != nil {
		old := s.value.of(data)
		if n, err := parseNumber(old); err == nil && n == value {
			return data, nil
		}
		if bytes.HasPrefix(old, []byte("0x")) {
			text = ctxreg.FormatData(value)
		}
		return slices.Concat(data[:s.value.start], []byte(text), data[s.value.end:]), nil
	}
	br := "\n"
	if bytes.Contains(data, []byte("\r\n")) {
		br = "\r\n"
	}
	line := name + " = " + text + br
	if s.room > 0 && data[s.room-1] != '\n' {
		line = br + line
	}
	if s.room == 0 && len(data) > 0 {
		line += br
	}
	return slices.Concat(data[:s.room], []byte(line), data[s.room:]), nil
}

// deleteValue is the document without the key's line.
func deleteValue(data []byte, name string) ([]byte, bool, error) {
	s, err := find(data, name)
	if err != nil || s.value == nil {
		return data, false, err
	}
	return slices.Concat(data[:s.line.start], data[s.line.end:]), true, nil
}
