package keyfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// positions tells in which line each key of a document is, by its dotted name.
// Tables count as keys; elements of an array of tables are NAME[0], NAME[1], …,
// and NAME is the first of them. The document is known to be valid.
func positions(data []byte) (map[string]int, error) {
	w := &walker{lines: map[string]int{}, elements: map[string]int{}}
	for i, b := range data {
		if b == '\n' {
			w.breaks = append(w.breaks, uint32(i))
		}
	}
	w.parser.Reset(data)
	table := ""
	for w.parser.NextExpression() {
		switch e := w.parser.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = w.header(e)
		case unstable.KeyValue:
			w.keyValue(table, e)
		}
	}
	return w.lines, w.parser.Error()
}

type walker struct {
	parser   unstable.Parser
	breaks   []uint32 // where the lines end
	lines    map[string]int
	elements map[string]int // how many elements an array of tables has so far
}

// note remembers a key's first line.
func (w *walker) note(key string, at unstable.Range) {
	if _, there := w.lines[key]; !there {
		before, _ := slices.BinarySearch(w.breaks, at.Offset)
		w.lines[key] = before + 1
	}
}

// header reads [a.b] or [[a.b]] and returns the name of the table that it opens.
func (w *walker) header(e *unstable.Node) string {
	name := ""
	for it := e.Key(); it.Next(); {
		part := it.Node()
		name = Join(name, string(part.Data))
		w.note(name, part.Raw)
		if it.IsLast() && e.Kind == unstable.ArrayTable {
			w.elements[name]++
		}
		if n := w.elements[name]; n > 0 {
			name = Element(name, n-1)
			w.note(name, part.Raw)
		}
	}
	return name
}

// keyValue reads "a.b = value" in a table.
func (w *walker) keyValue(table string, e *unstable.Node) {
	name := table
	for it := e.Key(); it.Next(); {
		name = Join(name, string(it.Node().Data))
		w.note(name, it.Node().Raw)
	}
	w.value(name, e.Value())
}

// value reads the keys inside inline tables.
func (w *walker) value(name string, v *unstable.Node) {
	i := 0
	for it := v.Children(); it.Next(); i++ {
		switch {
		case v.Kind == unstable.InlineTable:
			w.keyValue(name, it.Node())
		case v.Kind == unstable.Array && it.Node().Kind == unstable.InlineTable:
			w.lines[Element(name, i)] = w.lines[name]
			w.value(Element(name, i), it.Node())
		}
	}
}

// Element is the name of an array's table, counted from 0.
func Element(name string, i int) string { return fmt.Sprintf("%s[%d]", name, i) }

// Join makes a dotted key. A part that isn't a bare key is quoted, so that it
// can't be taken for two.
func Join(prefix, part string) string {
	if part == "" || strings.ContainsFunc(part, notBare) {
		part = strconv.Quote(part)
	}
	if prefix == "" {
		return part
	}
	return prefix + "." + part
}

func notBare(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-')
}
