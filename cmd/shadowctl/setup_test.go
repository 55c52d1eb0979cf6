package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/setup"
	"vda.internal/shadow/internal/usage"
)

// someGroup is a group of this host.
func someGroup(t *testing.T) string {
	t.Helper()
	g, err := user.LookupGroupId(fmt.Sprint(os.Getegid()))
	require.NoError(t, err)
	return g.Name
}

// setupFile is a configuration file whose pair would be beside it.
func setupFile(t *testing.T, content string) string {
	file := registryFile(t, content)
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = fmt.Fprintf(f, "\n[tls]\ndir = %q\n", filepath.Dir(file)+"/ssl")
	require.NoError(t, err)
	return file
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(data)
}

// onTerminal runs setup with a person who answers at a terminal of 80 columns.
func onTerminal(t *testing.T, ctx context.Context, person func(*terminal), args ...string) (int, string) {
	t.Helper()
	term := newTerminal(t)
	done := make(chan int, 1)
	go func() {
		a := &app{name: "shadowctl", stdin: term.File, stdout: term.File, stderr: term.File}
		done <- a.run(ctx, "shadowctl", append([]string{"setup"}, args...))
	}()
	person(term)
	status := <-done
	require.NoError(t, term.File.Close())
	<-term.over
	return status, strings.ReplaceAll(term.String(), "\r\n", "\n")
}

func TestSetupOnATerminal(t *testing.T) {
	t.Setenv("LC_ALL", "C.UTF-8")
	t.Setenv("NO_COLOR", "1")
	file, group := setupFile(t, "# mine\n"), someGroup(t)
	status, said := onTerminal(t, t.Context(), func(term *terminal) {
		term.answer(t, "Name by which viewers reach this host", "no such name\n")
		term.answer(t, `"no such name" isn't a host name; allowed is`, "localhost\n")
		term.answer(t, "Group whose members may ask", "no-such-group\n")
		term.answer(t, "groupadd --system no-such-group", group+"\n")
		term.answer(t, "Certificate [1]:", "4\n")
		term.answer(t, "a number from 1 to 3", "2\n")
		term.answer(t, "Write it? [Y/n]:", "perhaps\n")
		term.answer(t, "y or n, please", "\n")
	}, "--config", file)
	t.Log(said)
	assert.Equal(t, exitDone, status)
	got := read(t, file)
	assert.True(t, strings.HasPrefix(got, "# mine\n"), got)
	for _, line := range []string{"ShadowingUseSSL = 1", `host = "localhost"`, `group = "` + group + `"`} {
		assert.Contains(t, got, line+"\n")
		assert.Contains(t, said, "\n+"+line+"\n", "it was shown before")
	}
	assert.Contains(t, said, "new file: "+filepath.Dir(file)+"/ssl/shadowingkey.pem")
	assert.Less(t, strings.Index(said, "+ShadowingUseSSL"), strings.Index(said, "Write it?"))
	assert.FileExists(t, filepath.Dir(file)+"/ssl/shadowingcert.pem")
	assert.Contains(t, said, "\nWritten.\n\nLeft to do, as root\n")
	assert.True(t, strings.HasSuffix(said, "\nshadowctl doctor --config "+file+"\n"), said)
	text, _, _ := strings.Cut(said, "To be written")
	for line := range strings.Lines(text) { // but commands, which are to be copied, and what is typed
		if !strings.Contains(line, file) && !strings.Contains(line, "]: ") {
			assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), 80, line)
		}
	}

	// All is there: nothing is asked, and nothing written.
	status, said = onTerminal(t, t.Context(), func(*terminal) {}, "--config", file)
	assert.Equal(t, exitDone, status)
	assert.Contains(t, said, "\nNothing to be written.\n")
	assert.Contains(t, strings.Join(strings.Fields(said), " "), "is for localhost and good until ") // wrapped somewhere
	assert.Regexp(t, regexp.MustCompile(`(?m)^✔ configuration`), said)
	assert.NotContains(t, said, "?")
	assert.Equal(t, got, read(t, file))
}

// No, a closed terminal and Ctrl-C write nothing.
func TestSetupIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		person func(*terminal, func())
		want   string
	}{
		"no":     {func(term *terminal, _ func()) { term.answer(t, "Write it?", "n\n") }, "shadowctl: nothing was written\n"},
		"closed": {func(term *terminal, _ func()) { term.answer(t, "Write it?", "\x04") }, "shadowctl: no answer; nothing was written\n"},
		"ended":  {func(term *terminal, cancel func()) { term.answer(t, "Write it?", ""); cancel() }, "shadowctl: interrupted\n"},
	} {
		t.Run(name, func(t *testing.T) {
			file := setupFile(t, "")
			before := read(t, file)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			status, said := onTerminal(t, ctx, func(term *terminal) { c.person(term, cancel) },
				"--config", file, "--host", "localhost", "--group", someGroup(t), "--certificate", "self-signed")
			assert.Equal(t, exitFailed, status)
			assert.True(t, strings.HasSuffix(said, c.want), said)
			assert.Equal(t, before, read(t, file))
			assert.NoFileExists(t, filepath.Dir(file)+"/ssl/shadowingkey.pem")
		})
	}
}

// Without a terminal only --yes writes.
func TestSetupInScripts(t *testing.T) {
	file := setupFile(t, "")
	before := read(t, file)
	args := []string{"setup", "--config", file, "--host", "localhost", "--group", someGroup(t), "--certificate", "self-signed"}
	r := shadowctl(t.Context(), args...)
	assert.Equal(t, exitFailed, r.status)
	assert.Equal(t, "shadowctl: nothing was written: --yes writes it without asking, and questions need a terminal\n", r.stderr)
	assert.Contains(t, r.stdout, "+host = \"localhost\"\n")
	r = shadowctl(t.Context(), append(args, "--dry-run")...)
	assert.Equal(t, exitDone, r.status, r.stderr)
	assert.Contains(t, r.stdout, "+ShadowingUseSSL = 1\n")
	assert.NotContains(t, r.stdout, "Written.")
	assert.Equal(t, before, read(t, file))

	for i, written := range []bool{true, false} { // the second has nothing to do
		r = shadowctl(t.Context(), append(args, "--yes", "--json")...)
		assert.Equal(t, exitDone, r.status, r.stderr)
		assert.Empty(t, r.stderr)
		var got struct {
			Config, Diff string
			Changes      []struct{ Key, Value string }
			Files        []string
			Written      bool
			Steps        []setup.Step
		}
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &got), r.stdout)
		assert.Equal(t, written, got.Written)
		assert.Equal(t, written, got.Diff != "")
		assert.Len(t, got.Changes, []int{3, 0}[i])
		assert.Len(t, got.Files, []int{2, 0}[i])
		assert.Equal(t, "shadowctl doctor --config "+file, got.Steps[len(got.Steps)-1].Command)
	}
	cfg, err := config.Load(file)
	require.NoError(t, err)
	assert.Equal(t, "localhost", cfg.Viewer.Host)
	r = shadowctl(t.Context(), args...)
	assert.Equal(t, exitDone, r.status, "nothing is left to be written")
}

func TestSetupRefuses(t *testing.T) {
	for args, want := range map[string]struct {
		status int
		words  string
	}{
		"--certificate letsencrypt":         {usage.Status, `--certificate is "letsencrypt"; request, self-signed, none are allowed`},
		"--host https://vda1":               {usage.Status, "isn't a host name"},
		"extra":                             {usage.Status, `unexpected argument "extra"`},
		"--yes --dry-run":                   {usage.Status, "none of the others can be"},
		"--yes --group no-such-group":       {exitFailed, "groupadd --system no-such-group"},
		"--yes --host vda2.corp.example":    {exitFailed, `viewer.host is "localhost" in`},
		"--yes --json --host vda2.corp.exa": {exitFailed, "setup changes no key that is there"},
	} {
		file := setupFile(t, "[viewer]\nhost = \"localhost\"\n")
		before := read(t, file)
		r := shadowctl(t.Context(), append([]string{"setup", "--config", file}, strings.Fields(args)...)...)
		assert.Equal(t, want.status, r.status, args)
		assert.Contains(t, r.stderr, want.words, args)
		assert.Equal(t, before, read(t, file), args)
	}
}

func TestSetupCompletes(t *testing.T) {
	for args, want := range map[string]string{"--certificate": "request\nself-signed\nnone\n:4\n", "": ":4\n"} {
		var stdout, stderr bytes.Buffer
		words := append([]string{"__complete", "setup"}, strings.Fields(args)...)
		assert.Equal(t, exitDone, run(t.Context(), "shadowctl", append(words, ""), &stdout, &stderr))
		assert.Equal(t, want, stdout.String(), args)
	}
}
