package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// manuals makes the manual pages from what the programs say of themselves.
func (b *builder) manuals(ctx context.Context, bin string) error {
	help := func(command string, args ...string) (string, error) {
		out, err := output(ctx, filepath.Join(bin, command), append(args, "--help")...)
		return string(out), err
	}
	var failed error
	page := func(section int, name, summary string, parts ...string) {
		if failed == nil {
			failed = b.pack(fmt.Sprintf("man/%s.%d.gz", name, section), []byte(b.manual(section, name, summary, parts...)))
		}
	}
	daemon, err := help("shadowd")
	if err != nil {
		return err
	}
	page(8, "shadowd", "show desktop sessions to administrators, with the user's consent",
		"DESCRIPTION", daemon, "FILES", "/etc/xdl/shadowing.toml\n/etc/xdl/shadowingssl\n/run/shadowd/control.sock", "SEE ALSO", "shadowctl(1), shadowing.toml(5)")

	main, err := help("shadowctl")
	if err != nil {
		return err
	}
	parts := []string{"DESCRIPTION", main}
	for _, command := range subcommands(main) {
		text, err := help("shadowctl", command)
		if err != nil {
			return err
		}
		parts = append(parts, "SHADOWCTL "+strings.ToUpper(command), text)
	}
	page(1, "shadowctl", "ask for a session to be shown, and look after what is shown", append(parts, "SEE ALSO", "shadowd(8)")...)

	// What shadowd --print-config prints without a file, which a test holds it to.
	config, err := os.ReadFile("internal/config/testdata/default.toml")
	if err != nil {
		return err
	}
	page(5, "shadowing.toml", "configuration of shadowd",
		"DESCRIPTION", "Every key is optional. These are all of them, with what each means and its default.", "KEYS", string(config), "SEE ALSO", "shadowd(8)")

	ws, err := help("websockify")
	if err != nil {
		return err
	}
	page(1, "shadow-websockify", "join browsers' WebSockets to TCP servers", "DESCRIPTION", ws)
	trace, err := output(ctx, filepath.Join(bin, "rfbtrace"), "help")
	if err != nil {
		return err
	}
	page(1, "rfbtrace", "capture RFB (VNC) sessions and take them apart", "DESCRIPTION", string(trace))
	return failed
}

var listed = regexp.MustCompile(`(?m)^  ([a-z]+) {2,}\S`)

// subcommands are those that a help text lists.
func subcommands(help string) (names []string) {
	_, list, _ := strings.Cut(help, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for _, m := range listed.FindAllStringSubmatch(list, -1) {
		if m[1] != "help" {
			names = append(names, m[1])
		}
	}
	return names
}

// manual is a page in man(7)'s language. Parts are headings and plain texts in turn; texts keep
// their lines.
func (b *builder) manual(section int, name, summary string, parts ...string) string {
	var m strings.Builder
	fmt.Fprintf(&m, ".TH %q %d %q \"shadow %s\"\n.SH NAME\n%s \\- %s\n",
		strings.ToUpper(name), section, b.date.Format("2006-01-02"), b.version, escape(name), escape(summary))
	for i := 0; i+1 < len(parts); i += 2 {
		fmt.Fprintf(&m, ".SH %q\n.nf\n", parts[i])
		for line := range strings.Lines(strings.TrimSpace(parts[i+1]) + "\n") {
			m.WriteString(escape(strings.TrimRight(line, "\n")) + "\n")
		}
		m.WriteString(".fi\n")
	}
	return m.String()
}

// escape makes a line of text one of groff's.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
