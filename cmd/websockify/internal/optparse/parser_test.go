package optparse_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/cmd/websockify/internal/optparse"
)

// What an example's command line says.
type values struct {
	verbose, six bool
	name         string
	count        int
	wait         time.Duration
	mode         string
}

func (v *values) parser() *optparse.Parser {
	return &optparse.Parser{Usage: "Usage: x\n", Options: []optparse.Option{
		{Short: 'v', Long: "verbose", Help: "say more", Set: optparse.True(&v.verbose)},
		{Short: '6', Long: "six", Help: "say six", Set: optparse.True(&v.six)},
		{Short: 'n', Long: "name", Arg: "NAME", Help: "a name", Set: optparse.String(&v.name)},
		{Long: "count", Arg: "N", Help: "a number", Set: optparse.Int(&v.count)},
		{Long: "wait", Arg: "SECONDS", Help: strings.Repeat("a long explanation ", 10), Set: optparse.Seconds(&v.wait)},
		{Long: "mode", Arg: "MODE", Help: "a or b", Set: optparse.Choice(&v.mode, "a", "b")},
		{Long: "version-of-something", Since: 1, Help: "newer", Set: optparse.True(&v.six)},
		{Long: "verbosity", Since: 1, Help: "newer", Set: optparse.True(&v.six)},
	}}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line       string
		want       values
		positional string
	}{
		{"a -v b", values{verbose: true}, "a b"},
		{"-v6nx a", values{verbose: true, six: true, name: "x"}, "a"},
		{"-n -v a", values{name: "-v"}, "a"},
		{"--name=x=y --name --z", values{name: "--z"}, ""},
		{"--ver a", values{verbose: true}, "a"}, // as before there was --version-of-something
		{"--vers a", values{six: true}, "a"},
		{"--count 0x1f --wait 5", values{count: 31, wait: 5 * time.Second}, ""},
		{"--wait 1m30s --mode b", values{wait: 90 * time.Second, mode: "b"}, ""},
		{"a - -- -v --", values{}, "a - -v --"},
	} {
		var v values
		got, err := v.parser().Parse(strings.Fields(c.line))
		require.NoError(t, err, c.line)
		assert.Equal(t, c.want, v, c.line)
		assert.Equal(t, c.positional, strings.Join(got, " "), c.line)
	}
}

func TestParseErrors(t *testing.T) {
	for line, want := range map[string]string{
		"-x a":               "no such option: -x",
		"-vé":                "no such option: -é",
		"--nope":             "no such option: --nope",
		"--=":                "ambiguous option: -- (--count, --help, --mode, --name, --six, --verbose, --wait?)",
		"--verbose=1":        "--verbose option does not take a value",
		"a --name":           "--name option requires 1 argument",
		"-vn":                "-n option requires 1 argument",
		"--count 1x":         "option --count: invalid integer value: '1x'",
		"--wait x":           "option --wait: invalid integer value: 'x'",
		"--wait 99999999999": "option --wait: invalid integer value: '99999999999'",
		"--mode it's":        `option --mode: invalid choice: "it's" (choose from 'a', 'b')`,
	} {
		_, err := new(values).parser().Parse(strings.Fields(line))
		assert.EqualError(t, err, want, line)
	}
	_, err := new(values).parser().Parse([]string{"--he", "--nope"})
	assert.ErrorIs(t, err, optparse.ErrHelp)
}

func TestHelpFits(t *testing.T) {
	var b strings.Builder
	require.NoError(t, new(values).parser().WriteHelp(&b, map[int]string{1: "Newer"}))
	for line := range strings.Lines(b.String()) {
		assert.LessOrEqual(t, len(line), 79, line)
		assert.Equal(t, strings.TrimRight(line, " \n")+"\n", line, "blanks at the end")
	}
	assert.Contains(t, b.String(), "  -v, --verbose         say more\n")
	assert.Contains(t, b.String(), "\n  Newer:\n  --version-of-something\n                        newer\n")
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a -v6 --name=x --count 3 -- b", "-nx --ver --wait 1s", "--", "-", "--mode a --mode=b", "--co 0b1 --na", "-é", "--=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, " ")
		var first values
		positional, err := first.parser().Parse(args)
		if err != nil {
			return
		}
		for _, p := range positional {
			assert.Contains(t, args, p)
		}
		// Written out in full it means the same.
		full := []string{"--name=" + first.name, "--count", "0", "--wait=" + first.wait.String()}
		if first.verbose {
			full = append(full, "--verbose")
		}
		if first.six {
			full = append(full, "-6")
		}
		if first.mode != "" {
			full = append(full, "--mode", first.mode)
		}
		full = append(append(full, "--"), positional...)
		second := first
		again, err := second.parser().Parse(full)
		require.NoError(t, err)
		second.count = first.count
		assert.Equal(t, first, second)
		assert.True(t, slices.Equal(positional, again))
	})
}

func ExampleParser() {
	var verbose bool
	p := optparse.Parser{
		Usage:   "Usage: greet [options] NAME\n",
		Options: []optparse.Option{{Short: 'v', Long: "verbose", Help: "say more", Set: optparse.True(&verbose)}},
	}
	names, err := p.Parse([]string{"World", "--verb"})
	if err != nil || !verbose || len(names) != 1 {
		panic(err)
	}
	_ = p.WriteHelp(os.Stdout, nil)
	// Output:
	// Usage: greet [options] NAME
	//
	// Options:
	//   -h, --help            show this help message and exit
	//   -v, --verbose         say more
}
