package ctxreg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"vda.internal/shadow/internal/host/program"
)

// DefaultPath is where the VDA has its program.
const DefaultPath = "/opt/Citrix/VDA/bin/ctxreg"

const (
	readTimeout = 5 * time.Second
	maxDump     = 4 << 20 // bytes; a registry has some thousand lines
)

// A Program is the VDA's own ctxreg.
type Program struct {
	Path string // absolute; empty: DefaultPath
}

// Read runs the program and returns both values.
func (p Program) Read(ctx context.Context) (Values, error) {
	path := cmp.Or(p.Path, DefaultPath)
	if isSelf(path) {
		return nil, fmt.Errorf("%s is this program, not the VDA's; say which one is", path)
	}
	out, err := program.Output(ctx, program.Command{Path: path, Args: []string{"dump"}, Timeout: readTimeout, Max: maxDump})
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the VDA's program isn't at %s: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	values, err := ParseDump(out)
	if err != nil {
		return nil, fmt.Errorf("%w; that is what %s dump printed", err, path)
	}
	return values, nil
}

// isSelf reports whether path leads to the program that is running, which
// would run itself for ever.
func isSelf(path string) bool {
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	other, err := os.Stat(path)
	return err == nil && os.SameFile(self, other)
}

var dword = regexp.MustCompile(`(?i)^["']?(0x[0-9a-f]{1,8})["']?[,;)]?$`)

// ParseDump takes both values out of a dump of the registry, as the package
// comment says.
func ParseDump(dump []byte) (Values, error) {
	values := Values{}
	hasKey := false
	header := ours // whose the lines are that name no key
	for line := range strings.Lines(string(dump)) {
		whose, named, alone := keysIn(line)
		if alone {
			header = whose
		}
		if !named {
			whose = header
		}
		hasKey = hasKey || named && whose == ours
		if whose == others {
			continue
		}
		for _, name := range Names() {
			data, about, err := dataOf(line, name)
			if about && whose == unclear {
				return nil, fmt.Errorf("the line %.100q names %s, and a key that begins like %s but isn't it", strings.TrimSpace(line), name, Key)
			}
			if err != nil {
				return nil, err
			}
			if !about {
				continue
			}
			if before, twice := values[name]; twice && before != data {
				return nil, fmt.Errorf("%s is there twice, as %d and %d", name, before, data)
			}
			values[name] = data
		}
	}
	for _, name := range Names() {
		if _, there := values[name]; there {
			continue
		}
		if !hasKey {
			return nil, fmt.Errorf("there is no %s, and nothing else of %s", name, Key)
		}
		values[name] = Defaults()[name]
	}
	return values, nil
}

// dataOf is the data of a value if the line is about it.
func dataOf(line, name string) (data uint32, about bool, err error) {
	// Every place where the name stands counts: the first may be part of a word.
	lower := strings.ToLower(line)
	for at := 0; ; {
		i := strings.Index(lower[at:], strings.ToLower(name))
		if i < 0 {
			return 0, false, nil
		}
		start, end := at+i, at+i+len(name)
		at = end
		if start > 0 && isWord(lower[start-1]) || end < len(lower) && isWord(lower[end]) {
			continue
		}
		number := ""
		for _, word := range strings.FieldsFunc(lower[end:], func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == '=' || r == ':' }) {
			if m := dword.FindStringSubmatch(word); m != nil {
				number = m[1]
			}
		}
		if number == "" {
			return 0, true, fmt.Errorf("the line %.100q has no number such as 0x00000001", strings.TrimSpace(line))
		}
		data, err := ParseData(number)
		if err != nil {
			return 0, true, fmt.Errorf("%w (%s)", err, name)
		}
		return data, true, nil
	}
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c >= 0x80
}
