package config

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"vda.internal/shadow/internal/keyfile"
)

// A Line is a key of the file with its value.
type Line struct {
	Name  string // dotted: "viewer.host"
	Value string // as TOML has it: `"vda1.corp.example"`
}

// Add writes those of the lines whose keys aren't in the file at path (empty: DefaultPath), in
// the way that [Set] writes one: a key that is there keeps its value, whatever that is.
func Add(path string, lines []Line) error {
	return edit(path, func(data []byte) ([]byte, error) { return addLines(data, lines) })
}

// Propose returns the file at path (empty: DefaultPath), which may be missing, and what [Add]
// would make of it. Nothing is written.
func Propose(path string, lines []Line) (before, after []byte, err error) {
	path, err = target(orDefault(path))
	if err != nil {
		return nil, nil, err
	}
	return changed(path, func(data []byte) ([]byte, error) { return addLines(data, lines) })
}

// Has returns which of the keys are in the file at path (empty: DefaultPath), whatever their
// values. None are if there is no file; one that has errors is one.
func Has(path string, names ...string) (map[string]bool, error) {
	data, err := load(path)
	if err != nil {
		return nil, err
	}
	r, err := keyfile.Parse(orDefault(path), data, Default().keys())
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, name := range names {
		there[name] = r.Has(name)
	}
	return there, nil
}

// addLines is the document with the lines that it lacks.
func addLines(data []byte, lines []Line) ([]byte, error) {
	for _, l := range lines {
		r, err := keyfile.Parse("", data, Default().keys())
		if err != nil {
			return nil, err
		}
		if r.Has(l.Name) {
			continue
		}
		if data, err = addLine(data, l); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// addLine is the document, which doesn't have the line's key, with the line.
func addLine(data []byte, l Line) ([]byte, error) {
	table, key := "", l.Name
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		table, key = key[:i], key[i+1:]
	}
	p, err := findPlace(data, table, key)
	if err != nil {
		return nil, err
	}
	text := key + " = " + l.Value + "\n"
	switch {
	case p.dotted:
		text = l.Name + " = " + l.Value + "\n"
	case p.missing:
		text = "[" + table + "]\n" + text
		if len(data) > 0 {
			text = "\n" + text
		}
	case p.alone:
		text += "\n"
	}
	if (table == "" || p.dotted) && p.at > 0 && (bytes.HasPrefix(data[p.at:], []byte("[")) || bytes.HasPrefix(data[p.at:], []byte("#"))) {
		text += "\n" // a table begins there
	}
	if p.at > 0 && data[p.at-1] != '\n' {
		text = "\n" + text
	}
	if bytes.Contains(data, []byte("\r\n")) {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return slices.Concat(data[:p.at], []byte(text), data[p.at:]), nil
}

// A place is where a line can be put.
type place struct {
	at      int
	missing bool // the table isn't there: the line needs its header
	dotted  bool // the table is written as dotted keys at the top
	alone   bool // what follows is something else
}

// findPlace looks for where a key of a table ("": the top) can be put: behind a line that has it as
// a comment, else behind the table's last key.
func findPlace(data []byte, table, key string) (place, error) {
	top, err := find(data, "") // which is no key: for the room at the top
	if err != nil {
		return place{}, err
	}
	p, start, end := place{at: len(data), missing: true}, 0, len(data)
	if table == "" {
		p = place{at: top.room, alone: top.room == 0 && len(data) > 0}
	}
	var w unstable.Parser
	w.Reset(data)
	now, within := "", table == ""
	for w.NextExpression() {
		e := w.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			header := keyOffset(e)
			if within {
				end = lineStart(data, header)
			}
			now, within = dotted(e), false
			if now == table && e.Kind == unstable.Table {
				within, start = true, lineEnd(data, header)
				p, end = place{at: start}, len(data)
			}
		case unstable.KeyValue:
			switch name := dotted(e); {
			case within && table != "":
				p.at = lineEnd(data, int(e.Raw.Offset+e.Raw.Length))
			case now == "" && p.missing && strings.HasPrefix(name, table+"."):
				p = place{at: top.room, dotted: true}
			}
		}
	}
	if w.Error() != nil || p.missing || p.dotted {
		return p, w.Error()
	}
	comment := regexp.MustCompile(`(?m)^[ \t]*#[ \t]*` + regexp.QuoteMeta(key) + `[ \t]*=.*$`)
	if m := comment.FindIndex(data[start:end]); m != nil {
		p = place{at: lineEnd(data, start+m[0])}
	}
	return p, nil
}

// dotted is an expression's key.
func dotted(e *unstable.Node) string {
	name := ""
	for key := e.Key(); key.Next(); {
		name = keyfile.Join(name, string(key.Node().Data))
	}
	return name
}
