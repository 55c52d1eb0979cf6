package rfb

import (
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A lengths evaluates what a table says of a length: "8 + 16·n" with an n of 2
// is 40. In "U32 n + n" the n is the number that is there, in what was encoded.
type lengths struct {
	rest string
	vars map[string]int
	wire []byte
}

var lengthToken = regexp.MustCompile(`^(?:[US](8|16|32)(?: ([a-z]+))?|\d+|⌈w/8⌉|[a-zA-Z]+)`)

func (l *lengths) skip(s string) (ok bool) {
	l.rest, ok = strings.CutPrefix(l.rest, s)
	return ok
}

func (l *lengths) sum() (total int, ok bool) {
	for {
		n, ok := l.product(total)
		if !ok {
			return 0, false
		}
		if total += n; !l.skip(" + ") {
			return total, true
		}
	}
}

func (l *lengths) product(at int) (int, bool) {
	total := 1
	for {
		n, ok := l.factor(at)
		if !ok {
			return 0, false
		}
		if total *= n; !l.skip("·") {
			return total, true
		}
	}
}

func (l *lengths) factor(at int) (int, bool) {
	if l.skip("(") {
		n, ok := l.sum()
		return n, ok && l.skip(")")
	}
	m := lengthToken.FindStringSubmatch(l.rest)
	if m == nil {
		return 0, false
	}
	l.skip(m[0])
	if m[1] != "" {
		bits, _ := strconv.Atoi(m[1])
		if m[2] != "" && len(l.wire) >= at+bits/8 {
			value := 0
			for _, b := range l.wire[at : at+bits/8] {
				value = value<<8 | int(b)
			}
			l.vars[m[2]] = value
		}
		return bits / 8, true
	}
	if n, err := strconv.Atoi(m[0]); err == nil {
		return n, true
	}
	n, ok := l.vars[m[0]]
	return n, ok
}

var (
	alternatives = regexp.MustCompile(`; |, or |, else | or `)
	ofWhat       = regexp.MustCompile(`^[a-zA-Z]+: `)
)

// said are the lengths that a layout gives for what was encoded, by the words
// that say so.
func said(layout string, vars map[string]int, wire []byte) map[string]int {
	all := make(map[string]int)
	for _, words := range alternatives.Split(layout, -1) {
		l := lengths{ofWhat.ReplaceAllString(words, ""), vars, wire}
		if n, ok := l.sum(); ok {
			all[words] = n
		}
	}
	return all
}

// A layoutCheck compares a layout with everything that was encoded by it.
type layoutCheck struct {
	layout string
	met    map[string]bool
}

func (c *layoutCheck) sample(t *testing.T, vars map[string]int, wire []byte, what any) {
	t.Helper()
	all := said(c.layout, vars, wire)
	fits := false
	for words, n := range all {
		if _, ok := c.met[words]; !ok {
			c.met[words] = false
		}
		if n == len(wire) {
			fits, c.met[words] = true, true
		}
	}
	assert.True(t, fits, "%T is %d bytes, which %q doesn't say: %v", what, len(wire), c.layout, all)
}

func (c *layoutCheck) done(t *testing.T, name string) {
	t.Helper()
	assert.NotEmpty(t, c.met, "%s: %q says no length", name, c.layout)
	for words, met := range c.met {
		assert.True(t, met, "%s: nothing is encoded in %q", name, words)
	}
}

// variables are the lengths of a message's lists and texts by their names, those
// inside of lists added up; n is that of those which the layout doesn't name.
func variables(m reflect.Value, layout string) map[string]int {
	vars := map[string]int{"n": 0}
	var add func(v reflect.Value, outer bool)
	add = func(v reflect.Value, outer bool) {
		for i := range v.NumField() {
			f, name := v.Field(i), strings.ToLower(v.Type().Field(i).Name)
			if f.Kind() != reflect.Slice && f.Kind() != reflect.String {
				continue
			}
			vars[name] += f.Len()
			if outer && !regexp.MustCompile(`(^|[ ·])`+name+`\b`).MatchString(layout) {
				vars["n"] += f.Len()
			}
			if f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct {
				for j := range f.Len() {
					add(f.Index(j), false)
				}
			}
		}
	}
	add(m, true)
	return vars
}

// grown are messages with one more element in one of their lists and texts.
func grown(m Message) (all []Message) {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		again := reflect.New(v.Type())
		again.Elem().Set(v)
		switch f := again.Elem().Field(i); f.Kind() {
		case reflect.Slice:
			more := reflect.MakeSlice(f.Type(), f.Len()+1, f.Len()+1)
			reflect.Copy(more, f)
			f.Set(more)
		case reflect.String:
			f.SetString(f.String() + "x")
		default:
			continue
		}
		all = append(all, again.Interface().(Message))
	}
	return all
}

func TestLayoutsOfMessagesAreTrue(t *testing.T) {
	checks := map[Direction]map[byte]*layoutCheck{FromViewer: {}, FromServer: {}}
	tables := map[Direction]*[256]message{FromViewer: &clientMessages, FromServer: &serverMessages}
	check := func(from Direction, m Message) {
		b, err := m.AppendBinary(nil)
		if err != nil { // a grown one that can't be
			return
		}
		c := checks[from][b[0]]
		if c == nil {
			c = &layoutCheck{tables[from][b[0]].layout, make(map[string]bool)}
			checks[from][b[0]] = c
		}
		vars := variables(reflect.ValueOf(m).Elem(), c.layout)
		switch m := m.(type) {
		case *CutText:
			if n := int32(be32(b[4:])); n < 0 {
				vars["n"] = int(-n)
			}
		case *GII, *GIIVersion, *GIICreate, *GIICreated, *GIIDestroy, *GIIInject:
			vars["n"] = len(b) - 4
		case *TextChat:
			if m.Action != 0 {
				vars["n"] = 0
			}
		case *Tight2:
			if len(b) > 4 { // what it says is told in words
				return
			}
		}
		c.sample(t, vars, b, m)
	}
	samples := slices.Clone(typed)
	for _, m := range []Message{&SetPixelFormat{pinned}, &SetEncodings{[]Encoding{1, 2}}, &FramebufferUpdateRequest{}, &SetMonitor{2},
		&PointerEvent{Buttons: 0x80, Extended: true}} {
		samples = append(samples, struct {
			message Message
			from    Direction
			bytes   string
		}{m, FromViewer, ""})
	}
	// The same layout both ways.
	for _, m := range []Message{&FileTransfer{Data: []byte{1}}, &TextChat{Text: "x"}, &KeepAlive{}, &CarConnectivity{1, []byte{1}}, &Fence{Payload: []byte{1}}, &XVP{1, 2},
		&TightFileData{From: FromServer, ModTime: 5}} {
		samples = append(samples, struct {
			message Message
			from    Direction
			bytes   string
		}{m, FromServer, ""})
	}
	for _, s := range samples {
		check(s.from, s.message)
		for _, m := range grown(s.message) {
			check(s.from, m)
		}
	}
	for from, table := range tables {
		for i, m := range table {
			if m.new == nil {
				continue
			}
			c := checks[from][byte(i)]
			require.NotNil(t, c, "nothing to compare %v %s with", from, m.name)
			c.done(t, m.name)
		}
	}
}

// walkedLayouts are those of bodies that have no formula, only a walk through
// them: TestTypedRectangles has them.
var walkedLayouts = []Encoding{EncodingHextile, EncodingTight, EncodingZlibHex, EncodingTRLE, EncodingJPEG, EncodingTightZstd,
	EncodingZstdHex, EncodingTightPNG, EncodingCursorWithAlpha}

func TestLayoutsOfEncodingsAreTrue(t *testing.T) {
	checks := make(map[Encoding]*layoutCheck)
	for _, tt := range append(rectangles[:len(rectangles):len(rectangles)], moreRectangles...) {
		rect, e := parseRect(tt.rect), Encoding(be32(tt.rect[8:]))
		if slices.Contains(walkedLayouts, e) {
			continue
		}
		i := slices.IndexFunc(encodings, func(known encodingInfo) bool { return known.number == e })
		if checks[e] == nil {
			checks[e] = &layoutCheck{encodings[i].layout, make(map[string]bool)}
		}
		w, h := int(rect.Width), int(rect.Height)
		vars := map[string]int{"w": w, "h": h, "B": pinned.size(), "⌈w/8⌉": (w + 7) / 8}
		checks[e].sample(t, vars, tt.rect[rectangleHeadLen:], e)
	}
	for _, e := range encodings {
		if c := checks[e.number]; c != nil {
			c.done(t, e.name)
		} else if e.new != nil && e.number != EncodingLastRect {
			assert.Contains(t, walkedLayouts, e.number, "nothing to compare %s with", e.name)
		}
	}
}
