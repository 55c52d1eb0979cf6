// Package keyfile reads configuration files, strictly: an unknown key and a value that isn't
// allowed are errors which name the key, the line and what is allowed, and all of a file's
// errors are told at once. A program lists its keys, each bound to a variable:
//
//	var port = 8443
//	keys := []keyfile.Key{{Name: "web.port", Comment: "where it listens", Value: keyfile.Number(&port, 1, 65535)}}
//	r, err := keyfile.Parse(name, data, keys)
//	if err == nil {
//		r.ReadKeys()
//		err = r.Err()
//	}
//
// The file is TOML. [Print] writes the keys with their comments.
package keyfile

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// MaxFile is how many bytes a file may have: go-toml takes quadratic time for
// a table of very many keys.
const MaxFile = 64 << 10

// A Key is one line of a file: its dotted name, what it means, and the variable that it
// stands for.
type Key struct {
	Name    string
	Comment string // may be empty
	Value   Value
	Read    Moment // when a change of it takes effect
}

// A Moment is when a program reads a key again, so that a change of it takes effect.
type Moment int

const (
	AtStart   Moment = iota // only when it starts
	AtHangup                // at SIGHUP too
	AtRequest               // at every request
)

// At returns k with another moment.
func (k Key) At(m Moment) Key {
	k.Read = m
	return k
}

// Line is a key of a file that is read at the start only.
func Line(name, comment string, v Value) Key { return Key{Name: name, Comment: comment, Value: v} }

// An Error is all that is wrong with a file.
type Error struct {
	File     string
	Problems []Problem // by line; at least one
}

// A Problem is one thing that is wrong with a file.
type Problem struct {
	Line int    // from 1
	Key  string // dotted; "" if it is about no key
	Text string // what is wrong and what is allowed
}

// Error is one line per problem: "FILE:LINE: KEY: what is wrong".
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s:%d: ", e.File, p.Line)
		if p.Key != "" {
			lines[i] += p.Key + ": "
		}
		lines[i] += p.Text
	}
	return strings.Join(lines, "\n        ")
}

// Load reads a regular file of at most [MaxFile] bytes.
func Load(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s isn't a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", name, MaxFile)
	}
	return data, nil
}

// Print writes the keys as a file, with their comments. After a table's own keys after is
// called with its name ("" for the file's top) and adds what else belongs there; it may be nil.
func Print(keys []Key, after func(b *strings.Builder, table string)) []byte {
	var b strings.Builder
	table := ""
	for _, k := range keys {
		name := k.Name
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			if t := name[:i]; t != table {
				if after != nil {
					after(&b, table)
				}
				fmt.Fprintf(&b, "\n[%s]\n", t)
				table = t
			}
			name = name[i+1:]
		}
		if k.Comment != "" {
			fmt.Fprintf(&b, "# %s\n", k.Comment)
		}
		fmt.Fprintf(&b, "%s = %s\n", name, k.Value.TOML())
	}
	return []byte(b.String())
}

// PrintTable writes one table of a list of tables. Lists that are empty are left out.
func PrintTable(b *strings.Builder, name string, keys []Key) {
	fmt.Fprintf(b, "[[%s]]\n", name)
	for _, k := range keys {
		if text := k.Value.TOML(); text != "[]" {
			fmt.Fprintf(b, "%s = %s\n", k.Name, text)
		}
	}
}
