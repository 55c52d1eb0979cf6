package websockify

import (
	"crypto/tls"
	"fmt"
	"html"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A golden case is an exchange with a program, and says what came of it.
type golden struct {
	name string
	on   string // which server, see servers
	do   func(c *client) string
}

// A difference is what the two programs answer to a case.
type difference struct{ python, here string }

// servers are the command lines that the cases are tried on.
func servers(f *fixtures) map[string][]string {
	return map[string][]string{
		"plain":   {"LISTEN", f.echo},
		"token":   {"LISTEN", "--token-plugin", "TokenFile", "--token-source", f.tokens},
		"host":    {"LISTEN", "--token-plugin=TokenFile", "--token-source=" + f.tokens, "--host-token"},
		"web":     {"--web", f.web, "LISTEN", f.echo},
		"basic":   {"--web", f.web, "--web-auth", "LISTEN", f.echo, "--auth-plugin", "BasicHTTPAuth", "--auth-source", "al:se:cret"},
		"latin":   {"LISTEN", f.echo, "--auth-plugin", "BasicHTTPAuth", "--auth-source", "al:p\u00e4"},
		"origin":  {"LISTEN", f.echo, "--auth-plugin=ExpectOrigin", "--auth-source=http://good https://also.good"},
		"tls":     {"--cert", f.cert, "LISTEN", f.echo},
		"tlsonly": {"--cert", f.cert, "--ssl-only", "--verify-client", "--cafile", f.ca.file, "LISTEN", f.echo, "--auth-plugin=ClientCertCNAuth", "--auth-source=alice bob"},
	}
}

// status sends a request and returns the status of the answer.
func status(request string) func(*client) string {
	return func(c *client) string {
		c.send(request)
		return c.reply().status()
	}
}

// statusWords is status with the words behind the code.
func statusWords(request string) func(*client) string {
	return func(c *client) string {
		c.send(request)
		_, line, _ := strings.Cut(c.reply().line, " ")
		return line
	}
}

// headers sends a request and returns the status and some headers of the answer.
func headers(request string, names ...string) func(*client) string {
	return func(c *client) string {
		c.send(request)
		r := c.reply()
		s := r.status()
		for _, n := range names {
			s += ", " + r.header.Get(n)
		}
		return s
	}
}

// handshake sends a request and says which protocol was chosen, and that the
// stream works.
func handshake(request string) func(*client) string {
	return func(c *client) string {
		c.send(request)
		r := c.reply()
		if r.status() != "101" {
			return r.status()
		}
		c.send(frame(binFin, "ping!"))
		return strings.TrimSpace(fmt.Sprintf("101 %s %s", r.header.Get("Sec-WebSocket-Protocol"), c.stream(5)))
	}
}

// after sends frames in a session, and describes all that comes.
func after(path string, frames ...string) func(*client) string {
	return func(c *client) string {
		c.upgrade(path).send(strings.Join(frames, ""))
		return c.rest()
	}
}

// ask is after for what doesn't end the session by itself.
func ask(path string, frames ...string) func(*client) string {
	return after(path, append(frames, frame(binFin, end))...)
}

// bye is a close frame that ends a case.
var bye = frame(closeFin, closing(1000, "bye"))

func unmasked(first byte, payload string) string { return string(appendFrame(first, payload, false)) }

func without(request, header string) string {
	return regexp.MustCompile(`(?m)^`+header+`: .*\r\n`).ReplaceAllString(request, "")
}

func auth64(value string) string { return request("/", "Authorization: "+value) }

func get(path string, headers ...string) string {
	return raw("GET "+path+" HTTP/1.1", append([]string{"Host: localhost"}, headers...)...)
}

func goldens() []golden {
	big := strings.Repeat("0123456789abcdef", 70000/16)
	cases := []golden{
		// Command line and HTTP.
		{"get", "plain", headers(get("/"), "Connection")},
		{"head", "plain", status(raw("HEAD / HTTP/1.1", "Host: x"))},
		{"post", "plain", status(raw("POST / HTTP/1.1", "Host: x", "Content-Length: 0"))},
		{"bad-request-line", "plain", status("nonsense\r\n\r\n")},
		{"bad-version", "plain", status(raw("GET / HTTP/9.9", "Host: x"))},
		{"long-uri", "plain", status(raw("GET /"+strings.Repeat("x", 70000)+" HTTP/1.1", "Host: x"))},
		{"long-header", "plain", status(raw("GET / HTTP/1.1", "Host: x", "X: "+strings.Repeat("x", 100000)))},

		// Handshake.
		{"upgrade", "plain", handshake(request("/"))},
		{"upgrade-any-path", "plain", handshake(request("/a/b/c?d=e&f"))},
		{"upgrade-http10", "plain", handshake(strings.Replace(request("/"), "HTTP/1.1", "HTTP/1.0", 1))},
		{"upgrade-no-connection", "plain", handshake(without(request("/"), "Connection"))},
		{"upgrade-no-host", "plain", handshake(without(request("/"), "Host"))},
		{"upgrade-case", "plain", handshake(strings.Replace(request("/"), "Upgrade: websocket", "uPgrade: WebSocket", 1))},
		{"upgrade-list", "plain", status(strings.Replace(request("/"), "Upgrade: websocket", "Upgrade: websocket, h2c", 1))},
		{"upgrade-other", "plain", status(strings.Replace(request("/"), "Upgrade: websocket", "Upgrade: h2c", 1))},
		{"answer-header", "plain", func(c *client) string {
			c.send(request("/", "Sec-WebSocket-Protocol: binary"))
			r := c.reply()
			return r.line + " " + strings.Join(r.lines, " ")
		}},
		{"version-7", "plain", handshake(strings.Replace(request("/"), "Version: 13", "Version: 7", 1))},
		{"version-8", "plain", handshake(strings.Replace(request("/"), "Version: 13", "Version: 8", 1))},
		{"version-12", "plain", status(strings.Replace(request("/"), "Version: 13", "Version: 12", 1))},
		{"version-blank", "plain", status(strings.Replace(request("/"), "Version: 13", "Version: 13 ", 1))},
		{"protocol-binary", "plain", handshake(request("/", "Sec-WebSocket-Protocol: binary"))},
		{"protocol-other-binary", "plain", handshake(request("/", "Sec-WebSocket-Protocol: foo, binary"))},
		{"protocol-binary-base64", "plain", handshake(request("/", "Sec-WebSocket-Protocol: binary, base64"))},
		{"protocol-base64-binary", "plain", handshake(request("/", "Sec-WebSocket-Protocol: base64, binary"))},
		{"protocol-base64", "plain", handshake(request("/", "Sec-WebSocket-Protocol: base64"))},
		{"protocol-other", "plain", handshake(request("/", "Sec-WebSocket-Protocol: foo"))},
		{"protocol-upper-case", "plain", handshake(request("/", "Sec-WebSocket-Protocol: BINARY"))},
		{"upgrade-percent", "plain", handshake(request("/%zz"))},
		{"upgrade-percent-query", "plain", handshake(request("/?a=%zz"))},
		{"token-words", "token", statusWords(request("/?token=nobody"))},
		{"version-words", "plain", statusWords(without(request("/"), "Sec-WebSocket-Version"))},
		{"web-words", "web", statusWords(get("/nowhere"))},
		{"get-words", "plain", statusWords(get("/"))},
		{"version-none", "plain", status(without(request("/"), "Sec-WebSocket-Version"))},
		{"key-none", "plain", status(without(request("/"), "Sec-WebSocket-Key"))},
		{"key-any", "plain", func(c *client) string {
			c.send(strings.Replace(request("/"), sampleKey, "x", 1))
			r := c.reply()
			return r.status() + " " + r.header.Get("Sec-WebSocket-Accept")
		}},
		{"extension", "plain", headers(request("/", "Sec-WebSocket-Extensions: permessage-deflate"), "Sec-WebSocket-Extensions")},
		{"early-frame", "plain", func(c *client) string {
			c.send(request("/") + frame(binFin, "early,"))
			c.reply()
			c.send(frame(binFin, "late") + frame(pingFin, "x"))
			got := ""
			for !strings.Contains(got, "late") {
				got += c.stream1()
			}
			return got
		}},

		// Frames.
		{"binary", "plain", ask("/", frame(binFin, "abc"))},
		{"binary-200", "plain", ask("/", frame(binFin, strings.Repeat("x", 200)))},
		{"binary-70000", "plain", func(c *client) string {
			c.upgrade("/").send(frame(binFin, big))
			return fmt.Sprint(c.stream(len(big)) == big)
		}},
		{"fragments", "plain", ask("/", frame(binMore, "a"), frame(contMore, "b"), frame(contFin, "c"))},
		{"fragments-ping", "plain", ask("/", frame(binMore, "a"), frame(pingFin, "p"), frame(contFin, "c"))},
		{"fragments-empty-first", "plain", ask("/", frame(binMore, ""), frame(contFin, "c"))},
		{"empty", "plain", ask("/", frame(binFin, ""), frame(binFin, "a"))},
		{"text", "plain", ask("/", frame(textFin, "a"))},
		{"ping", "plain", ask("/", frame(pingFin, "p"))},
		{"ping-empty", "plain", ask("/", frame(pingFin, ""))},
		{"ping-126", "plain", ask("/", frame(pingFin, strings.Repeat("p", 126)))},
		{"pong-unsolicited", "plain", ask("/", frame(pongFin, "p"))},
		{"ping-fragmented", "plain", ask("/", frame(0x09, "p"))},
		{"opcode-3", "plain", ask("/", frame(0x83, "p"))},
		{"opcode-11", "plain", ask("/", frame(0x8b, "p"))},
		{"rsv", "plain", ask("/", frame(binFin|0x40, "p"))},
		{"unmasked", "plain", ask("/", unmasked(binFin, "p"))},
		{"continuation-stray", "plain", ask("/", frame(contFin, "p"))},
		{"binary-mid-fragments", "plain", func(c *client) string {
			got := ask("/", frame(binMore, "a"), frame(binFin, "b"))(c)
			return got[max(0, strings.LastIndex(got, "close ")):] // the "a" may have been forwarded, here
		}},

		// Closing.
		{"close-1000", "plain", after("/", bye)},
		{"close-4001", "plain", after("/", frame(closeFin, closing(4001, "because")))},
		{"close-1000-bare", "plain", after("/", frame(closeFin, closing(1000, "")))},
		{"close-empty", "plain", after("/", frame(closeFin, ""))},
		{"close-999", "plain", after("/", frame(closeFin, closing(999, "")))},
		{"close-1005", "plain", after("/", frame(closeFin, closing(1005, "")))},
		{"close-not-utf8", "plain", after("/", frame(closeFin, closing(1000, "\xff\xfe")))},

		// Tokens.
		{"token", "token", handshake(request("/?token=echo"))},
		{"token-any-path", "token", handshake(request("/x/y?a=b&token=echo&c"))},
		{"token-escaped", "token", handshake(request("/?token=a+b%2Bc"))},
		{"token-colon", "token", handshake(request("/?token=with:colon"))},
		{"token-newline", "token", handshake(request("/?token=echo%0a%0A"))},
		{"token-first", "token", handshake(request("/?token=echo&token=refused"))},
		{"token-empty-first", "token", handshake(request("/?token=&token=echo"))},
		{"token-last-line", "token", handshake(request("/?token=twice"))},
		{"token-indented", "token", handshake(request("/?token=indented"))},
		{"token-name-escaped", "token", handshake(request("/?t%6fken=echo"))},
		{"token-unix", "token", handshake(request("/?token=socket"))},
		{"token-v6", "token", handshake(request("/?token=six"))},
		{"token-v6-brackets", "token", ask("/?token=bracketed")},
		{"token-case", "token", status(request("/?token=ECHO"))},
		{"token-unknown", "token", status(request("/?token=nobody"))},
		{"token-missing", "token", status(request("/"))},
		{"token-semicolon", "token", status(request("/?a=b;token=echo"))},
		{"token-in-path", "token", status(request("/echo"))},
		{"token-no-port", "token", status(request("/?token=noport"))},
		{"token-malformed-line", "token", status(request("/?token=nospace"))},
		{"token-get", "token", status(get("/?token=echo"))},
		{"host-token", "host", handshake(strings.Replace(request("/"), "Host: localhost", "Host: echo:80", 1))},
		{"host-token-not-query", "host", status(strings.Replace(request("/?token=echo"), "Host: localhost", "Host: nobody", 1))},
		{"host-token-missing", "host", status(without(request("/"), "Host"))},

		// Targets.
		{"target-refused", "token", after("/?token=refused")},
		{"target-unknown-service", "token", after("/?token=named")},
		{"target-closes", "token", after("/?token=greeter")},
		{"target-resets", "token", after("/?token=resetter", frame(binFin, "x"))},

		// Authentication.
		{"basic", "basic", handshake(auth64("Basic YWw6c2U6Y3JldA=="))},
		{"basic-none", "basic", headers(request("/"), "WWW-Authenticate", "Content-Type")},
		{"basic-wrong", "basic", headers(auth64("Basic YWw6bm8="), "WWW-Authenticate")},
		{"basic-lower-case", "basic", status(auth64("basic YWw6c2U6Y3JldA=="))},
		{"basic-other-scheme", "basic", status(auth64("Bearer x"))},
		{"basic-no-colon", "basic", status(auth64("Basic YWxzZQ=="))},
		{"basic-not-base64", "basic", status(auth64("Basic ///=/"))},
		{"basic-words", "basic", statusWords(request("/"))},
		{"basic-scheme-words", "basic", statusWords(auth64("Bearer x"))},
		{"basic-iso-8859-1", "latin", status(auth64("Basic YWw6cOQ="))},
		{"basic-utf-8", "latin", status(auth64("Basic YWw6cMOk"))},
		{"web-auth-none", "basic", status(get("/a.html"))},
		{"web-auth", "basic", status(get("/a.html", "Authorization: Basic YWw6c2U6Y3JldA=="))},
		{"origin", "origin", handshake(request("/", "Origin: http://good"))},
		{"origin-second", "origin", handshake(request("/", "Origin: https://also.good"))},
		{"origin-none", "origin", status(request("/"))},
		{"origin-other", "origin", status(request("/", "Origin: http://good.example"))},
		{"origin-words", "origin", statusWords(request("/", "Origin: http://elsewhere.example"))},
		{"origin-any", "plain", handshake(request("/", "Origin: http://elsewhere.example"))},
		{"origin-null", "plain", handshake(request("/", "Origin: null"))},

		// TLS.
		{"tls-port-plain", "tls", handshake(request("/"))},
		{"tls-without-cert", "plain", status("\x16\x03\x01\x00\x05hello")},
		{"ssl-only-plain", "tlsonly", status(request("/"))},
		{"silence", "plain", func(c *client) string { return c.reply().status() }},
	}
	// Files.
	file := func(path string) string { return get(path, "Connection: close") }
	for name, path := range map[string]string{
		"html": "/a.html", "js": "/a.js", "mjs": "/a.mjs", "css": "/a.css", "wasm": "/a.wasm", "svg": "/a.svg", "json": "/a.json", "png": "/a.png", "no-extension": "/noext", "unknown": "/a.unknown",
		"hidden": "/.hidden", "hidden-type": "/.js", "symlink": "/link", "escaped": "/with%20space", "query": "/a.js?v=1", "index": "/indexed/", "missing": "/missing", "dot-dot": "/../outside", "dot-dot-escaped": "/%2e%2e/outside",
		"file-slash": "/a.html/", "directory-no-slash": "/sub", "deep": "/sub/b.txt", "double-slash": "//a.html",
	} {
		cases = append(cases, golden{"file-" + name, "web", func(c *client) string {
			c.send(file(path))
			r := c.reply()
			s := r.status()
			if s == "200" {
				s += " " + r.header.Get("Content-Type") + " " + r.header.Get("Content-Length")
			}
			return strings.TrimSpace(s + " " + strings.TrimPrefix(r.header.Get("Location"), "http://localhost"))
		}})
	}
	return append(cases,
		golden{"file-head", "web", headers(raw("HEAD /a.js HTTP/1.1", "Host: x", "Connection: close"), "Content-Length")},
		golden{"file-post", "web", status(raw("POST /a.js HTTP/1.1", "Host: x", "Content-Length: 0"))},
		golden{"file-range", "web", headers(get("/a.js", "Range: bytes=1-1"), "Content-Length")},
		golden{"file-cache", "web", headers(get("/a.js"), "Cache-Control", "X-Content-Type-Options")},
		golden{"file-not-modified", "web", status(get("/a.js", "If-Modified-Since: "+time.Now().Add(time.Minute).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")))},
		golden{"file-keep-alive", "web", func(c *client) string {
			c.send(get("/a.js") + get("/missing"))
			first := c.reply()
			body := make([]byte, 3)
			_, _ = c.br.Read(body)
			return first.status() + " " + string(body) + " " + c.reply().status()
		}},
		golden{"file-listing", "web", func(c *client) string {
			c.send(file("/"))
			r := c.reply()
			b := make([]byte, 64<<10)
			n := 0
			for n < len(b) {
				m, err := c.br.Read(b[n:])
				n += m
				if err != nil {
					break
				}
			}
			var links []string
			for _, m := range regexp.MustCompile(`href="(?:\./)?([^"]*)">([^<]*)<`).FindAllStringSubmatch(string(b[:n]), -1) {
				link, err := url.PathUnescape(html.UnescapeString(m[1]))
				if err != nil {
					link = err.Error()
				}
				if strings.HasPrefix(link, ".") || link == "link" { // see file-hidden and file-symlink
					continue
				}
				links = append(links, link+"="+m[2])
			}
			slices.Sort(links)
			return r.status() + " " + strings.Join(links, " ")
		}},
	)
}

// stream1 reads one frame of the stream, and nothing of others.
func (c *client) stream1() string {
	first, p, err := c.readFrame()
	if err != nil {
		return "late: " + howEnded(err)
	}
	if first != binFin {
		return ""
	}
	return string(p)
}

// tlsGoldens need more than a raw connection.
var tlsGoldens = map[string]func(t *testing.T, f *fixtures, addr map[string]string) string{
	"tls": func(t *testing.T, f *fixtures, addr map[string]string) string {
		c, err := dialTLS(t, addr["tls"], f.ca.trust())
		require.NoError(t, err)
		return handshake(request("/"))(c)
	},
	"tls-1.1": func(t *testing.T, f *fixtures, addr map[string]string) string {
		config := f.ca.trust()
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		_, err := dialTLS(t, addr["tls"], config)
		return fmt.Sprint(err == nil)
	},
	"verify-client": func(t *testing.T, f *fixtures, addr map[string]string) string {
		c, err := dialTLS(t, addr["tlsonly"], f.ca.trust(f.ca.pair("bob")))
		require.NoError(t, err)
		return handshake(request("/"))(c)
	},
	"verify-client-other-name": func(t *testing.T, f *fixtures, addr map[string]string) string {
		c, err := dialTLS(t, addr["tlsonly"], f.ca.trust(f.ca.pair("mallory")))
		require.NoError(t, err)
		return status(request("/", "SSL_CLIENT_S_DN_CN: bob"))(c)
	},
	"verify-client-none": func(t *testing.T, f *fixtures, addr map[string]string) string {
		c, err := dialTLS(t, addr["tlsonly"], f.ca.trust())
		if err != nil {
			return "refused"
		}
		c.send(request("/"))
		if c.reply().missing != nil {
			return "refused"
		}
		return "accepted"
	},
}

// TestSameness tries every case on both programs. The answers are the same, or
// docs/websockify.md lists the difference.
func TestSameness(t *testing.T) {
	t.Parallel()
	f := newFixtures(t)
	addr := [2]map[string]string{{}, {}}
	for name, args := range servers(f) {
		for _, i := range []implementation{thePython, theGo} {
			p := i.launchIn(t, f.dir+"/web", nil, args...) // no self.pem there
			addr[i][name] = p.addr
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("%v %s:\n%s", i, name, p.err)
				}
				if i == theGo {
					assert.NotContains(t, p.err.String(), "DATA RACE")
				}
			})
		}
	}
	for _, i := range []implementation{thePython, theGo} {
		for _, a := range addr[i] {
			waitForPort(t, a)
		}
	}
	var mu sync.Mutex
	answers := make(map[string]*[2]string)
	var running sync.WaitGroup
	slots := make(chan struct{}, 6)
	try := func(name string, i implementation, do func() string) {
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			got := do()
			mu.Lock()
			defer mu.Unlock()
			if answers[name] == nil {
				answers[name] = new([2]string)
			}
			answers[name][i] = got
		})
	}
	for _, i := range []implementation{thePython, theGo} {
		for _, g := range goldens() {
			try(g.name, i, func() string { return g.do(dialRaw(t, addr[i][g.on])) })
		}
		for name, do := range tlsGoldens {
			try(name, i, func() string { return do(t, f, addr[i]) })
		}
	}
	running.Wait()
	listed := listedDifferences(t)
	for name, a := range answers {
		want, isListed := listed[name]
		switch {
		case !isListed:
			assert.Equal(t, a[thePython], a[theGo], "case %s differs and isn't listed in docs/websockify.md", name)
		case a[thePython] == a[theGo]:
			assert.Fail(t, "a listed difference is none", "%s: %s", name, a[theGo])
		default:
			assert.Equal(t, want, difference{a[thePython], a[theGo]}, "case %s", name)
		}
	}
	for name := range listed {
		assert.Contains(t, answers, name, "docs/websockify.md lists a case that there isn't")
	}
}

func waitForPort(t testing.TB, addr string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c, err := netDial(addr)
		if err == nil {
			c.Close()
			return
		}
		require.True(t, time.Now().Before(end), "nobody listens on %s: %v", addr, err)
	}
}

// differencesFile has a table row for each case that differs:
// | `case` | what it is about | `Python's answer` | `ours` | why |
const differencesFile = "../../../../docs/websockify.md"

func listedDifferences(t *testing.T) map[string]difference {
	t.Helper()
	b, err := os.ReadFile(differencesFile)
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9.-]+)` \\|[^|]*\\| `([^`]*)` \\| `([^`]*)` \\|")
	listed := make(map[string]difference)
	for _, m := range row.FindAllStringSubmatch(string(b), -1) {
		listed[m[1]] = difference{m[2], m[3]}
	}
	require.NotEmpty(t, listed, "%s has no table of differences", differencesFile)
	return listed
}
