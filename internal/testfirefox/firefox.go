// Package testfirefox drives Firefox ESR by WebDriver BiDi, for tests.
package testfirefox

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// An Object is a JSON object of a command.
type Object = map[string]any

// A Browser is a Firefox with one tab. Its methods fail the test, and are for one goroutine.
type Browser struct {
	t      *testing.T
	ctx    context.Context
	socket *websocket.Conn
	tab    string // browsing context
	id     *int   // of the last command
}

var listening = regexp.MustCompile(`WebDriver BiDi listening on (ws://127\.0\.0\.1:\d+)`)

// Start starts Firefox without a window, with a profile of its own, in which the authorities in the files are trusted, in PEM. It
// ends with the test, or after limit. The test is skipped where there is no Firefox.
func Start(t *testing.T, limit time.Duration, authorities ...string) *Browser {
	t.Helper()
	path := testenv.Program(t, "firefox-esr", "firefox-esr")
	profile := t.TempDir()
	if len(authorities) > 0 {
		testenv.Trust(t, profile, authorities...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	cmd := exec.CommandContext(ctx, path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank")
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin", "MOZ_CRASHREPORTER_DISABLE=1"}
	cmd.WaitDelay = time.Second
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(address)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, stderr)
	}()
	b := &Browser{t: t, ctx: ctx, id: new(int)}
	t.Cleanup(func() {
		if b.socket != nil {
			_ = b.socket.CloseNow()
		}
		cancel()
		<-read
		_ = cmd.Wait()
	})
	select {
	case at := <-address:
		require.NotEmpty(t, at, "Firefox has ended")
		b.socket, _, err = websocket.Dial(ctx, at+"/session", nil)
		require.NoError(t, err)
	case <-ctx.Done():
		require.Fail(t, "Firefox doesn't start")
	}
	b.socket.SetReadLimit(16 << 20)
	b.Call("session.new", Object{"capabilities": Object{}}, nil)
	var tree struct {
		Contexts []struct{ Context string }
	}
	b.Call("browsingContext.getTree", Object{}, &tree)
	require.NotEmpty(t, tree.Contexts)
	b.tab = tree.Contexts[0].Context
	return b
}

// For is the same browser for a test within the one that started it, which its methods then fail.
func (b *Browser) For(t *testing.T) *Browser {
	other := *b
	other.t = t
	return &other
}

// Call runs a command and reads its result, unless result is nil.
func (b *Browser) Call(method string, params Object, result any) {
	b.t.Helper()
	*b.id++
	data, err := json.Marshal(Object{"id": *b.id, "method": method, "params": params})
	require.NoError(b.t, err)
	require.NoError(b.t, b.socket.Write(b.ctx, websocket.MessageText, data))
	for {
		_, data, err := b.socket.Read(b.ctx)
		require.NoError(b.t, err)
		var answer struct {
			Type, Message string
			ID            int
			Result        json.RawMessage
		}
		require.NoError(b.t, json.Unmarshal(data, &answer))
		if answer.ID != *b.id {
			continue // an event
		}
		require.Equal(b.t, "success", answer.Type, "%s: %s", method, answer.Message)
		if result != nil {
			require.NoError(b.t, json.Unmarshal(answer.Result, result))
		}
		return
	}
}

// Open loads a page.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.Call("browsingContext.navigate", Object{"context": b.tab, "url": url, "wait": "complete"}, nil)
}

// Eval is the value of a JavaScript expression: a boolean, a float64, a string, or nil for what is
// none of them.
func (b *Browser) Eval(expression string) any {
	b.t.Helper()
	var v struct {
		Type             string
		Result           struct{ Value any }
		ExceptionDetails struct{ Text string }
	}
	b.Call("script.evaluate", Object{"expression": expression, "target": Object{"context": b.tab}, "awaitPromise": true}, &v)
	require.Equal(b.t, "success", v.Type, "%s: %s", expression, v.ExceptionDetails.Text)
	return v.Result.Value
}

// A Cookie is one that the browser keeps.
type Cookie struct {
	Name, Domain, Path, SameSite string
	Value                        struct{ Value string }
	HTTPOnly, Secure             bool
	Expiry                       float64 // 0: it ends with the browser
}

// Cookies are those of the page's site, also those that scripts can't see.
func (b *Browser) Cookies() []Cookie {
	b.t.Helper()
	var all struct{ Cookies []Cookie }
	b.Call("storage.getCookies", Object{"partition": Object{"type": "context", "context": b.tab}}, &all)
	return all.Cookies
}

// Until waits until a JavaScript expression is true.
func (b *Browser) Until(format string, args ...any) {
	b.t.Helper()
	expression := fmt.Sprintf(format, args...)
	require.NoError(b.t, testhost.Until(b.ctx, expression, func() (bool, error) {
		return b.Eval("Boolean("+expression+")") == true, nil
	}))
}

// Keys types.
func (b *Browser) Keys(text string) {
	b.t.Helper()
	var actions []Object
	for _, r := range text {
		actions = append(actions, Object{"type": "keyDown", "value": string(r)}, Object{"type": "keyUp", "value": string(r)})
	}
	b.perform(Object{"type": "key", "id": "keyboard", "actions": actions})
}

// Click clicks at a place of the page.
func (b *Browser) Click(x, y int) {
	b.t.Helper()
	b.perform(Object{"type": "pointer", "id": "mouse", "actions": []Object{
		{"type": "pointerMove", "x": x, "y": y}, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0},
	}})
}

func (b *Browser) perform(source Object) {
	b.t.Helper()
	b.Call("input.performActions", Object{"context": b.tab, "actions": []Object{source}}, nil)
}
