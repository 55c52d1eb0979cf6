package keyfile

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// A Reader fills the variables of some keys from a file.
type Reader struct {
	file     string
	doc      map[string]any
	lines    map[string]int   // by dotted key
	known    map[string]Value // by dotted key
	tables   map[string]bool  // the names of tables
	problems *[]Problem
}

// Parse reads the content of the file that is called name. The error is an *[Error] about
// TOML's grammar; what is wrong with keys is told by [Reader.Err].
func Parse(name string, data []byte, keys []Key) (*Reader, error) {
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		p := Problem{Line: 1, Text: strings.TrimPrefix(err.Error(), "toml: ")}
		if at, ok := errors.AsType[*toml.DecodeError](err); ok {
			p.Line, _ = at.Position()
			p = bareWord(p, data, keys)
		}
		return nil, &Error{File: name, Problems: []Problem{p}}
	}
	lines, err := positions(data)
	if err != nil {
		return nil, &Error{File: name, Problems: []Problem{{Line: 1, Text: err.Error()}}}
	}
	r := &Reader{file: name, doc: doc, lines: lines, tables: map[string]bool{}, known: map[string]Value{}, problems: new([]Problem)}
	for _, k := range keys {
		r.known[k.Name] = k.Value
		for i := strings.LastIndexByte(k.Name, '.'); i >= 0; i = strings.LastIndexByte(k.Name[:i], '.') {
			r.tables[k.Name[:i]] = true
		}
	}
	return r, nil
}

// Err is an *[Error] with all that was found, nil if that is nothing.
func (r *Reader) Err() error {
	if len(*r.problems) == 0 {
		return nil
	}
	all := slices.Clone(*r.problems)
	slices.SortStableFunc(all, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return &Error{File: r.file, Problems: all}
}

// Fail notes a problem with a key that is in the file.
func (r *Reader) Fail(key, format string, args ...any) {
	*r.problems = append(*r.problems, Problem{Line: max(r.lines[key], 1), Key: key, Text: fmt.Sprintf(format, args...)})
}

// Failed reports whether there are problems.
func (r *Reader) Failed() bool { return len(*r.problems) > 0 }

// Has reports whether the file has the key.
func (r *Reader) Has(key string) bool { return r.lines[key] > 0 }

// Line is where the key is first, from 1; 0 means that it isn't there.
func (r *Reader) Line(key string) int { return r.lines[key] }

// ReadKeys reads everything that no call of [Reader.Tables] has taken.
func (r *Reader) ReadKeys() { r.table("", r.doc) }

// ReadTable reads one table of a list, whose name is an [Element]'s. The names of its keys are
// without that; each in required must be there.
func (r *Reader) ReadTable(name string, table map[string]any, keys []Key, required ...string) {
	sub := &Reader{lines: r.lines, known: map[string]Value{}, problems: r.problems}
	for _, k := range keys {
		sub.known[Join(name, k.Name)] = k.Value
	}
	for _, key := range required {
		if _, there := table[key]; !there {
			r.Fail(name, "%s is missing; there have to be %s", key, strings.Join(required, ", "))
		}
	}
	sub.table(name, table)
}

// table reads the keys of one table; prefix is its name, "" for the file's top.
func (r *Reader) table(prefix string, t map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		key, v := Join(prefix, name), t[name]
		sub, isTable := v.(map[string]any)
		switch {
		case r.known[key] != nil:
			if err := r.known[key].Set(v); err != nil {
				r.Fail(key, "%v", err)
			}
		case r.tables[key] && isTable:
			r.table(key, sub)
		case r.tables[key]:
			r.Fail(key, "is a table: write [%s] and its keys below", key)
		default:
			r.Fail(key, "unknown key; %s", r.suggest(prefix, name))
		}
	}
}

// suggest says which key may have been meant: one that is called the same, in
// whatever case and table, or any of the table's.
func (r *Reader) suggest(prefix, name string) string {
	if prefix != "" {
		prefix += "."
	}
	var there []string
	for _, key := range slices.Sorted(maps.Keys(r.known)) {
		rest, inTable := strings.CutPrefix(key, prefix)
		if last := key[strings.LastIndexByte(key, '.')+1:]; strings.EqualFold(last, name) {
			if inTable {
				key = rest
			}
			return "did you mean " + key + "?"
		}
		if table, _, nested := strings.Cut(rest, "."); nested {
			rest = "[" + table + "]"
		}
		if inTable {
			there = append(there, rest)
		}
	}
	return "there are " + strings.Join(slices.Compact(there), ", ")
}

// Tables takes a list of tables out of the file, before [Reader.ReadKeys]; each of them is a
// thing, for messages. The key is "NAME" or "TABLE.NAME".
func (r *Reader) Tables(key, thing string) []map[string]any {
	holds, name := r.doc, key
	if table, rest, nested := strings.Cut(key, "."); nested {
		holds, _ = r.doc[table].(map[string]any)
		name = rest
	}
	v, ok := holds[name]
	if !ok {
		return nil
	}
	delete(holds, name)
	elements, ok := v.([]any)
	var list []map[string]any
	for _, e := range elements {
		t, isTable := e.(map[string]any)
		ok = ok && isTable
		list = append(list, t)
	}
	if !ok {
		r.Fail(key, "is a list of tables: write [[%s]] above each %s", key, thing)
		return nil
	}
	return list
}

var (
	tableLine = regexp.MustCompile(`^\s*\[\s*([A-Za-z0-9_.]+)\s*\]`)
	wordLine  = regexp.MustCompile(`^\s*([A-Za-z0-9_.]+)\s*=\s*([^\s"'\[{#][^"'#]*?)\s*(?:#.*)?$`)
)

// bareWord makes of a complaint about TOML's grammar one about the key, if the line gives a
// known key a value that is none of TOML's, such as a word without quotes.
func bareWord(p Problem, data []byte, keys []Key) Problem {
	lines := strings.Split(string(data), "\n")
	if p.Line < 1 || p.Line > len(lines) {
		return p
	}
	m := wordLine.FindStringSubmatch(strings.TrimSuffix(lines[p.Line-1], "\r"))
	if m == nil {
		return p
	}
	key, word := m[1], m[2]
	for _, line := range slices.Backward(lines[:p.Line-1]) {
		if table := tableLine.FindStringSubmatch(line); table != nil {
			key = Join(table[1], key)
			break
		}
	}
	for _, k := range keys {
		if k.Name != key {
			continue
		}
		p.Key = key
		if err := k.Value.Set(word); err != nil {
			p.Text = err.Error()
		} else {
			p.Text = fmt.Sprintf("%s has to be in quotes: %q", word, word)
		}
	}
	return p
}
