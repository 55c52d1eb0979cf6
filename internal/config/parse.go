package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"vda.internal/shadow/sessions"
)

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
	return "config: " + strings.Join(lines, "\n        ")
}

// parse reads the content of the file that is called name.
func parse(name string, data []byte) (*Config, error) {
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		p := Problem{Line: 1, Text: strings.TrimPrefix(err.Error(), "toml: ")}
		if at, ok := errors.AsType[*toml.DecodeError](err); ok {
			p.Line, _ = at.Position()
			p = bareWord(p, data)
		}
		return nil, &Error{File: name, Problems: []Problem{p}}
	}
	lines, err := positions(data)
	if err != nil {
		return nil, &Error{File: name, Problems: []Problem{{Line: 1, Text: err.Error()}}}
	}
	c := Default()
	r := &reader{lines: lines, tables: map[string]bool{}, known: map[string]value{}}
	for _, k := range c.keys() {
		r.known[k.name] = k.value
		for i := strings.LastIndexByte(k.name, '.'); i >= 0; i = strings.LastIndexByte(k.name[:i], '.') {
			r.tables[k.name[:i]] = true
		}
	}
	static := r.takeList(doc, staticKey, "session")
	rules := r.takeList(doc, rulesKey, "rule")
	r.table("", doc)
	c.Sessions.Static = r.static(static)
	c.Consent.Rules = r.rules(rules)
	r.check(c)
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, &Error{File: name, Problems: r.problems}
	}
	return c, nil
}

var (
	tableLine = regexp.MustCompile(`^\s*\[\s*([A-Za-z0-9_.]+)\s*\]`)
	wordLine  = regexp.MustCompile(`^\s*([A-Za-z0-9_.]+)\s*=\s*([^\s"'\[{#][^"'#]*?)\s*(?:#.*)?$`)
)

// bareWord makes of a complaint about TOML's grammar one about the key, if the line gives a
// known key a value that is none of TOML's, such as a word without quotes.
func bareWord(p Problem, data []byte) Problem {
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
			key = join(table[1], key)
			break
		}
	}
	for _, k := range Default().keys() {
		if k.name != key {
			continue
		}
		p.Key = key
		if err := k.value.set(word); err != nil {
			p.Text = err.Error()
		} else {
			p.Text = fmt.Sprintf("%s has to be in quotes: %q", word, word)
		}
	}
	return p
}

// A reader fills a Config from a decoded document.
type reader struct {
	lines    map[string]int   // by dotted key
	known    map[string]value // by dotted key
	tables   map[string]bool  // the names of tables
	problems []Problem
}

// fail notes a problem with a key that is in the file.
func (r *reader) fail(key, format string, args ...any) {
	r.problems = append(r.problems, Problem{Line: max(r.lines[key], 1), Key: key, Text: fmt.Sprintf(format, args...)})
}

// has reports whether the file has the key.
func (r *reader) has(key string) bool { return r.lines[key] > 0 }

// table reads the keys of one table; prefix is its name, "" for the file's top.
func (r *reader) table(prefix string, t map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		key, v := join(prefix, name), t[name]
		sub, isTable := v.(map[string]any)
		switch {
		case r.known[key] != nil:
			if err := r.known[key].set(v); err != nil {
				r.fail(key, "%v", err)
			}
		case r.tables[key] && isTable:
			r.table(key, sub)
		case r.tables[key]:
			r.fail(key, "is a table: write [%s] and its keys below", key)
		default:
			r.fail(key, "unknown key; %s", r.suggest(prefix, name))
		}
	}
}

// suggest says which key may have been meant: one that is called the same, in
// whatever case and table, or any of the table's.
func (r *reader) suggest(prefix, name string) string {
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

const (
	staticKey = "sessions.static"
	rulesKey  = "consent.rules"
)

// takeList takes a list of tables out of the document; each of them is a thing.
func (r *reader) takeList(doc map[string]any, key, thing string) []map[string]any {
	table, name, _ := strings.Cut(key, ".")
	holds, _ := doc[table].(map[string]any)
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
		r.fail(key, "is a list of tables: write [[%s]] above each %s", key, thing)
		return nil
	}
	return list
}

// static reads the static sessions.
func (r *reader) static(list []map[string]any) []sessions.StaticSession {
	var all []sessions.StaticSession
	first := map[string]string{} // id → key of the table that has it
	for i, t := range list {
		name := element(staticKey, i)
		var s sessions.StaticSession
		sub := &reader{lines: r.lines, known: map[string]value{}}
		for _, k := range staticKeys(&s) {
			sub.known[join(name, k.name)] = k.value
			if _, there := t[k.name]; !there && !slices.Contains([]string{"xauthority", "locale", "bus"}, k.name) {
				sub.fail(name, "%s is missing; a session needs id, display and user", k.name)
			}
		}
		sub.table(name, t)
		r.problems = append(r.problems, sub.problems...)
		if other, twice := first[s.ID]; twice && s.ID != "" {
			r.fail(join(name, "id"), "%q is there twice; the other one is in line %d", s.ID, r.lines[other])
		}
		first[s.ID] = name
		all = append(all, s)
	}
	return all
}

// check looks at what keys mean together.
func (r *reader) check(c *Config) {
	if c.Ports.First > c.Ports.Last {
		key := "ports.last"
		if !r.has(key) {
			key = "ports.first"
		}
		r.fail(key, "the last port, %d, is below the first, %d", c.Ports.Last, c.Ports.First)
	}
	if c.Consent.Prompter == "exec" && len(c.Consent.Exec) == 0 {
		r.fail("consent.prompter", `"exec" needs consent.exec, the program and its arguments`)
	}
	if t := c.Consent.Texts; t.Yes != "" && t.Yes == t.No {
		r.fail("consent.texts.yes", "%q is what the other button says, too", t.Yes)
	}
	if c.Source.Kind == "dial" && c.Source.Dial == "" {
		r.fail("source.kind", `"dial" needs source.dial, the address`)
	}
	if c.Sessions.Resolver == "exec" && len(c.Sessions.Exec) == 0 {
		r.fail("sessions.resolver", `"exec" needs sessions.exec, the program and its arguments`)
	}
	switch static := c.Sessions.Resolver == "static"; {
	case static && !r.has(staticKey):
		r.fail("sessions.resolver", `"static" needs at least one [[%s]]`, staticKey)
	case !static && len(c.Sessions.Static) > 0:
		r.fail(staticKey, `does nothing: sessions.resolver is %q; set it to "static"`, c.Sessions.Resolver)
	}
}
