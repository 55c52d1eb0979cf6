package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// manuals makes the manual pages from what the programs say of themselves.
func (b *builder) manuals(ctx context.Context, bin string) error {
	help := func(command string, args ...string) (string, error) {
		out, err := output(ctx, filepath.Join(bin, command), append(args, "--help")...)
		return string(out), err
	}
	// chapters are what a program and all its commands say, as parts of a page.
	var chapters func(words ...string) ([]string, error)
	chapters = func(words ...string) ([]string, error) {
		text, err := help(words[0], words[1:]...)
		if err != nil {
			return nil, err
		}
		heading := "DESCRIPTION"
		if len(words) > 1 {
			heading = strings.ToUpper(strings.Join(words, " "))
		}
		parts := []string{heading, text}
		for _, command := range subcommands(text) {
			if slices.Contains(words, "completion") { // its shells need no pages
				break
			}
			more, err := chapters(append(slices.Clip(words), command)...)
			if err != nil {
				return nil, err
			}
			parts = append(parts, more...)
		}
		return parts, nil
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
		"DESCRIPTION", daemon, "FILES", "/etc/xdl/shadowing.toml\n/etc/xdl/shadowingssl\n/etc/xdl/fleet.credentials\n/run/shadowd/control.sock\n/var/lib/shadowd/spool", "SEE ALSO", "shadowctl(1), shadowing.toml(5)")

	parts, err := chapters("shadowctl")
	if err != nil {
		return err
	}
	page(1, "shadowctl", "ask for a session to be shown, and look after what is shown", append(parts, "FILES",
		"/etc/xdl/shadowing.toml\n/etc/xdl/fleet.credentials", "SEE ALSO", "shadowd(8), shadowing.toml(5)")...)

	if err := b.pack("man/ctxreg.1.gz", []byte(".so man1/shadowctl.1\n")); err != nil { // which says what shadowctl ctxreg does
		return err
	}

	// What shadowd --print-config prints without a file, which a test holds it to.
	config, err := os.ReadFile("internal/config/testdata/default.toml")
	if err != nil {
		return err
	}
	page(5, "shadowing.toml", "configuration of shadowd",
		"DESCRIPTION", "Every key is optional. These are all of them, with what each means and its default.", "KEYS", string(config), "SEE ALSO", "shadowd(8)")

	if parts, err = chapters("shadowgate"); err != nil {
		return err
	}
	page(8, "shadowgate", "console for watching desktop sessions", append(parts, "FILES",
		"/etc/xdl/shadowgate.toml\n/etc/xdl/shadowgate.accounts\n/etc/xdl/shadowgate.tokens\n/var/lib/shadowgate", "SEE ALSO", "shadowgate.toml(5), shadowd(8)")...)
	empty := filepath.Join(b.work, "empty.toml") // so that it prints the defaults, and not this machine's
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		return err
	}
	keys, err := output(ctx, filepath.Join(bin, "shadowgate"), "--print-config", "--config", empty)
	if err != nil {
		return err
	}
	page(5, "shadowgate.toml", "configuration of shadowgate",
		"DESCRIPTION", "Every key is optional. These are all of them, with what each means and its default.", "KEYS", string(keys), "SEE ALSO", "shadowgate(8)")

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

var listed = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) {2,}\S`)

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

// flagLine is a flag of a help text, and what it means.
var flagLine = regexp.MustCompile(`^ {2,}((?:-\w, )?--\S+(?: \S+)?) {2,}(\S.*)$`)

// manual is a page in man(7)'s language. Parts are headings and plain texts in turn; texts keep
// their lines, but those of flags, which are often longer than a terminal's.
func (b *builder) manual(section int, name, summary string, parts ...string) string {
	var m strings.Builder
	fmt.Fprintf(&m, ".TH %q %d %q \"shadow %s\"\n.SH NAME\n%s \\- %s\n",
		strings.ToUpper(name), section, b.date.Format("2006-01-02"), b.version, escape(name), escape(summary))
	for i := 0; i+1 < len(parts); i += 2 {
		fmt.Fprintf(&m, ".SH %q\n.nf\n", parts[i])
		flags := false
		for line := range strings.Lines(strings.TrimSpace(parts[i+1]) + "\n") {
			line = strings.TrimRight(line, "\n")
			flag := flagLine.FindStringSubmatch(line)
			if flags != (flag != nil) {
				flags = flag != nil
				m.WriteString(map[bool]string{true: ".fi\n", false: ".PP\n.nf\n"}[flags])
			}
			if flags {
				fmt.Fprintf(&m, ".TP\n\\fB%s\\fR\n%s\n", escape(flag[1]), escape(flag[2]))
			} else {
				m.WriteString(escape(line) + "\n")
			}
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
