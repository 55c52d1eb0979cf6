package token

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// Bounds of a file of targets.
const (
	maxFile = 64 << 20 // bytes; a larger one is passed over
	maxLine = 16 << 10 // bytes; a longer one is malformed
)

// files is a file of lines "token: host:port", or a directory of such files.
type files string

// Lookup implements Source. What is wrong with one file, or one line, is an
// error only if the token isn't found elsewhere.
func (f files) Lookup(ctx context.Context, token string) (Target, error) {
	names, err := f.names()
	if err != nil {
		return Target{}, err
	}
	target, found := "", false
	var malformed, unread error
	for _, name := range names {
		t, ok, bad, err := findIn(ctx, name, token)
		if ok {
			target, found = t, true // a later line wins
		}
		if bad != nil {
			malformed = errors.Join(malformed, fmt.Errorf("%s: %w", name, bad))
		}
		unread = errors.Join(unread, err)
		if ctx.Err() != nil {
			return Target{}, context.Cause(ctx)
		}
	}
	switch {
	case found:
		return ParseTarget(target)
	case unread != nil:
		return Target{}, unread
	case malformed != nil:
		return Target{}, fmt.Errorf("%w (%w)", ErrUnknown, malformed)
	}
	return Target{}, ErrUnknown
}

// check finds a file or folder that isn't there or can't be read.
func (f files) check() error {
	names, err := f.names()
	for _, name := range names {
		file, _, openErr := openFile(name)
		if openErr == nil {
			file.Close()
		}
		err = errors.Join(err, openErr)
	}
	return err
}

// findIn is find in a file. It holds one line of the file at a time.
func findIn(ctx context.Context, name, token string) (target string, ok bool, malformed, err error) {
	f, size, err := openFile(name)
	if err != nil {
		return "", false, nil, err
	}
	defer f.Close()
	if size > maxFile {
		return "", false, nil, fmt.Errorf("%s is larger than %d MiB and is left out", name, maxFile>>20)
	}
	r := bufio.NewReaderSize(untilDone{ctx, io.LimitReader(f, maxFile)}, maxLine)
	return find(r, token)
}

// untilDone is a reader that fails once ctx has ended.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

// names are the files to read: f itself, or the regular files in it.
func (f files) names() ([]string, error) {
	info, err := os.Stat(string(f))
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{string(f)}, nil
	}
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := filepath.Join(string(f), e.Name())
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names, nil
}

// find searches lines of "token: target", where a colon and one blank are the
// separator, so that tokens may have colons in them. Blank lines and those
// that begin with # are skipped. malformed is about lines that are neither.
func find(r *bufio.Reader, token string) (target string, ok bool, malformed, err error) {
	for number := 1; ; number++ {
		line, err := r.ReadSlice('\n')
		long := err == bufio.ErrBufferFull
		for err == bufio.ErrBufferFull {
			_, err = r.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return target, ok, malformed, err
		}
		if !long {
			line = bytes.TrimSpace(line)
		}
		if len(line) > 0 && line[0] != '#' {
			name, value, valid := splitLine(line)
			switch {
			case (long || !valid) && malformed == nil:
				malformed = fmt.Errorf("syntax error in line %d: it isn't \"token: host:port\"", number)
			case !long && valid && string(name) == token:
				target, ok = string(value), true
			}
		}
		if err == io.EOF {
			return target, ok, malformed, nil
		}
	}
}

// splitLine splits at the one ":" with a blank behind it.
func splitLine(line []byte) (name, value []byte, ok bool) {
	at := -1
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRune(line[i:])
		if i > 0 && line[i-1] == ':' && unicode.IsSpace(r) {
			if at >= 0 {
				return nil, nil, false
			}
			at = i
		}
		i += size
	}
	if at < 0 {
		return nil, nil, false
	}
	return line[:at-1], bytes.TrimSpace(line[at:]), true
}

// names is a directory in which a file's name is the token, its content the target.
type names string

func newNames(dir string) (Source, error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s isn't a directory", dir)
	}
	return names(dir), nil
}

// Lookup implements Source. Of a token with slashes the last part counts.
func (n names) Lookup(_ context.Context, token string) (Target, error) {
	token = token[strings.LastIndexByte(token, '/')+1:]
	if token == "" || token == "." || token == ".." || strings.ContainsRune(token, 0) {
		return Target{}, ErrUnknown
	}
	b, err := readFile(filepath.Join(string(n), token), 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return Target{}, ErrUnknown
	}
	if err != nil {
		return Target{}, err
	}
	return ParseTarget(string(b))
}

// sockets is a directory in which the token is a unix socket's path.
type sockets string

// Lookup implements Source.
func (s sockets) Lookup(_ context.Context, token string) (Target, error) {
	if !filepath.IsLocal(token) || strings.ContainsRune(token, 0) {
		return Target{}, ErrUnknown
	}
	name := filepath.Join(string(s), token)
	info, err := os.Stat(name)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return Target{}, ErrUnknown
	}
	return Target{Unix: name}, nil
}

// check finds a folder that isn't there.
func (s sockets) check() error {
	if _, err := os.ReadDir(string(s)); err != nil {
		return err
	}
	return nil
}

// openFile opens a regular file. Opening doesn't wait for the other end of a pipe.
func openFile(name string) (f *os.File, size int64, err error) {
	f, err = os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s isn't a regular file", name)
	default:
		return f, info.Size(), nil
	}
	f.Close()
	return nil, 0, err
}

// readFile reads a regular file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	f, _, err := openFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return b, nil
}
