package token

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// maxFile bounds what is read of a file of targets.
const maxFile = 64 << 20

// files is a file of lines "token: host:port", or a directory of such files.
type files string

// Lookup implements Source. A malformed line is an error only if no other
// line has the token.
func (f files) Lookup(ctx context.Context, token string) (Target, error) {
	names, err := f.names()
	if err != nil {
		return Target{}, err
	}
	target, found := "", false
	var malformed error
	for _, name := range names {
		b, err := readFile(name, maxFile)
		if err != nil {
			return Target{}, err
		}
		t, ok, err := find(b, token)
		if ok {
			target, found = t, true // a later line wins
		}
		if err != nil {
			malformed = errors.Join(malformed, fmt.Errorf("token: %s: %w", name, err))
		}
		if ctx.Err() != nil {
			return Target{}, context.Cause(ctx)
		}
	}
	if found {
		return ParseTarget(target)
	}
	if malformed != nil {
		return Target{}, fmt.Errorf("%w (%w)", ErrUnknown, malformed)
	}
	return Target{}, ErrUnknown
}

// names are the files to read: f itself, or the regular files in it.
func (f files) names() ([]string, error) {
	info, err := os.Stat(string(f))
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if !info.IsDir() {
		return []string{string(f)}, nil
	}
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
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
// that begin with # don't count. err is about lines that are neither.
func find(b []byte, token string) (target string, ok bool, err error) {
	for number := 1; len(b) > 0; number++ {
		var rest []byte
		rest, b, _ = bytes.Cut(b, []byte("\n"))
		line := strings.TrimSpace(string(rest))
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, valid := splitLine(line)
		switch {
		case !valid && err == nil:
			err = fmt.Errorf("syntax error in line %d: it isn't \"token: host:port\"", number)
		case valid && name == token:
			target, ok = value, true
		}
	}
	return target, ok, err
}

// splitLine splits at the one ":" with a blank behind it.
func splitLine(line string) (name, value string, ok bool) {
	at := -1
	for i, r := range line {
		if i > 0 && line[i-1] == ':' && unicode.IsSpace(r) {
			if at >= 0 {
				return "", "", false
			}
			at = i
		}
	}
	if at < 0 {
		return "", "", false
	}
	return line[:at-1], strings.TrimSpace(line[at:]), true
}

// names is a directory in which a file's name is the token, its content the target.
type names string

func newNames(dir string) (Source, error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("token: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("token: %s isn't a directory", dir)
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

// readFile reads a regular file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("token: %s isn't a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("token: %s is larger than %d bytes", name, limit)
	}
	return b, nil
}
