package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// texts makes what is the same for each architecture: manual pages, completions, copyright
// files, the unit, the configuration and the changelog.
func (b *builder) texts(ctx context.Context) error {
	host, err := b.programs(ctx, runtime.GOARCH)
	if err != nil {
		return err
	}
	for _, dir := range []string{"man", "completion", "copyright"} {
		if err := os.Mkdir(filepath.Join(b.work, dir), 0o755); err != nil {
			return err
		}
	}
	if err := b.manuals(ctx, host); err != nil {
		return err
	}
	for _, command := range []string{"shadowctl", "shadowgate"} {
		for _, shell := range []string{"bash", "zsh", "fish"} {
			out, err := output(ctx, filepath.Join(host, command), "completion", shell)
			if err != nil {
				return err
			}
			if err := b.write("completion/"+command+"."+shell, out); err != nil {
				return err
			}
		}
	}
	for _, command := range []string{"shadowd", "shadowgate", "websockify", "rfbtrace"} {
		if err := b.copyright(ctx, command); err != nil {
			return fmt.Errorf("copyright of %s: %w", command, err)
		}
	}
	for _, command := range []string{"shadowd", "shadowgate"} {
		unit, err := os.ReadFile("dist/" + command + ".service")
		if err != nil {
			return err
		}
		if err := b.write(command+".service", packaged(unit)); err != nil {
			return err
		}
	}
	config := "# Configuration of shadowd; shadowing.toml(5) has every key, and shadowd --print-config what counts.\n" +
		"# Only what differs from the defaults needs to be here.\n\n# EnableSessionShadowing = 1\n# ShadowingUseSSL = 0\n\n" +
		"[control]\n# Its members may ask for sessions, and see who does. The console is one; people needn't be.\ngroup = \"shadow-admins\"\n"
	if err := b.write("shadowing.toml", []byte(config)); err != nil {
		return err
	}
	config = "# Configuration of shadowgate; shadowgate.toml(5) has every key, and shadowgate --print-config what counts.\n" +
		"# Only what differs from the defaults needs to be here.\n"
	if err := b.write("shadowgate.toml", []byte(config)); err != nil {
		return err
	}
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	return b.pack("changelog.gz", changes)
}

// packaged is a unit for the package: without the comment at its beginning, which is for who installs it by hand, and
// with the program where the package has it.
func packaged(unit []byte) []byte {
	if i := bytes.Index(unit, []byte("[Unit]\n")); i > 0 {
		unit = unit[i:]
	}
	unit = bytes.ReplaceAll(unit, []byte("-/usr/local/sbin/shadowgate "), nil)
	return bytes.ReplaceAll(unit, []byte("/usr/local/sbin/"), []byte("/usr/sbin/"))
}

func (b *builder) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(b.work, name), data, 0o644)
}

// pack writes data compressed, with no time in it.
func (b *builder) pack(name string, data []byte) error {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(data); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return b.write(name, packed.Bytes())
}

// A module is one that a program links.
type module struct {
	Path, Version, Dir string
	Main               bool
}

// novnc is where make pages puts noVNC, which the pages are bundled from.
const novnc = "internal/viewer/novnc/"

// notices are what is said of noVNC, and the licences of what of it is in a page: its own, and that of
// pako, which it brings along.
var notices = []string{"LICENSE.txt", "AUTHORS", "docs/LICENSE.MPL-2.0", "docs/LICENSE.BSD-3-Clause", "docs/LICENSE.BSD-2-Clause", "vendor/pako/LICENSE"}

// copyright writes the licence of this project, of Go, of each module that a command links, and
// noVNC's where its page is in it.
func (b *builder) copyright(ctx context.Context, command string) error {
	commands := []string{"./cmd/" + command}
	if command == "shadowd" {
		commands = append(commands, "./cmd/shadowctl")
	}
	out, err := output(ctx, "env", append([]string{"GOOS=linux", "CGO_ENABLED=0", "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\n{{end}}{{end}}"}, commands...)...)
	if err != nil {
		return err
	}
	paths := strings.Fields(string(out))
	slices.Sort(paths)
	paths = slices.Compact(paths)

	var text bytes.Buffer
	licence, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	fmt.Fprintf(&text, "%s is part of shadow:\n\n%s\n", command, licence)
	if command == "shadowd" || command == "shadowgate" {
		fmt.Fprintf(&text, "%s\nThe page that shows a session contains noVNC, https://github.com/novnc/noVNC:\n\n", rule)
		for _, name := range notices {
			notice, err := os.ReadFile(novnc + name)
			if err != nil {
				return fmt.Errorf("noVNC isn't there (run make pages): %w", err)
			}
			fmt.Fprintf(&text, "%s:\n\n%s\n", name, notice)
		}
	}
	if out, err = output(ctx, "go", "env", "GOROOT"); err != nil {
		return err
	}
	if licence, err = os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "LICENSE")); err != nil {
		return fmt.Errorf("the licence of Go: %w", err)
	}
	fmt.Fprintf(&text, "%s\nGo's runtime and standard library, https://go.dev:\n\n%s\n", rule, licence)
	out, err = output(ctx, "go", append([]string{"list", "-m", "-json"}, paths...)...)
	if err != nil {
		return err
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var m module
		if err := dec.Decode(&m); err != nil {
			return err
		}
		licences, err := filepath.Glob(filepath.Join(m.Dir, "[LlCcNn][IiOo]*")) // LICENSE, LICENCE, COPYING, NOTICE
		if err != nil {
			return err
		}
		found := 0
		for _, file := range licences {
			name := strings.ToUpper(filepath.Base(file))
			if !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") && !strings.HasPrefix(name, "NOTICE") {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, "%s\n%s %s\n\n%s\n", rule, m.Path, m.Version, data)
			found++
		}
		if found == 0 {
			return fmt.Errorf("%s %s has no file with its licence", m.Path, m.Version)
		}
	}
	return b.write("copyright/"+command, text.Bytes())
}

const rule = "------------------------------------------------------------------------"
