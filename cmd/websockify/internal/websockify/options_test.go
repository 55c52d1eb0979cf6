package websockify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/cmd/websockify/internal/auth"
	"vda.internal/shadow/cmd/websockify/internal/token"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/usage"
)

// driver runs the option parsing of the Python program on each line of its
// input, a JSON list, without starting a server, and says what came of it.
const driver = `
import contextlib, io, json, logging, os, sys
sys.dont_write_bytecode = True
from websockify import websocketproxy as wp
class Parsed(Exception): pass
class Proxy:
    log_prefix = 'websocket'
    def __init__(self, **o):
        e = Parsed(); e.o = o; raise e
wp.WebSocketProxy = wp.LibProxyServer = Proxy
def plain(v):
    if v is None or isinstance(v, (bool, int, str, list)): return v
    source = getattr(v, 'source', getattr(v, 'src', None))
    return [type(v).__name__, source if not isinstance(source, list) else ' '.join(source)]
for line in sys.stdin:
    sys.argv = ['websockify'] + json.loads(line)
    out, err, answer = io.StringIO(), io.StringIO(), {}
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            wp.websockify_init()
        except Parsed as e:
            answer['options'] = {k: plain(v) for k, v in e.o.items() if k != 'ssl_options'}
        except SystemExit as e:
            answer['exit'] = e.code
        except Exception as e:
            answer['exit'] = 1
    for h in list(logging.getLogger('websocket').handlers):
        logging.getLogger('websocket').removeHandler(h)
    answer['help'] = out.getvalue().startswith('Usage')
    answer['error'] = err.getvalue()
    print(json.dumps(answer), flush=True)
`

// An answer is what became of a command line.
type answer struct {
	Options map[string]any `json:"options"`
	Exit    int            `json:"exit"`
	Help    bool           `json:"help"`
	Error   string         `json:"error"`
}

// python asks the Python program about command lines.
func python(t *testing.T, lines [][]string) []answer {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", "import websockify").CombinedOutput(); err != nil {
		testenv.Lack(t, "Python's websockify is needed (Debian package websockify): %v %s", err, out)
	}
	var in bytes.Buffer
	for _, l := range lines {
		b, err := json.Marshal(l)
		require.NoError(t, err)
		in.Write(append(b, '\n'))
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", driver)
	cmd.Stdin = &in
	cmd.Dir = t.TempDir()
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, complaints.String())
	var answers []answer
	for line := range bytes.Lines(out) {
		var a answer
		require.NoError(t, json.Unmarshal(line, &a), "%s", line)
		answers = append(answers, a)
	}
	require.Len(t, answers, len(lines), "%s", complaints.String())
	return answers
}

// ours parses a command line here.
func ours(t *testing.T, args []string) answer {
	t.Helper()
	o, err := parseOptions(args, false)
	wrong, isWrong := errors.AsType[*usage.Error](err)
	switch {
	case errors.Is(err, errHelp):
		return answer{Help: true}
	case isWrong:
		var b strings.Builder
		writeUsage(&b, "websockify")
		return answer{Exit: usage.Status, Error: fmt.Sprintf("%s\nwebsockify: error: %s\n", b.String(), wrong.Error())}
	}
	require.NoError(t, err)
	if o.tokenPlugin != "" {
		if _, err := token.New(o.tokenPlugin, o.tokenSource); errors.Is(err, token.ErrUnknownPlugin) {
			return answer{Exit: exitFailed}
		}
	}
	if o.authPlugin != "" {
		if _, err := auth.New(o.authPlugin, o.authSource); errors.Is(err, auth.ErrUnknownPlugin) {
			return answer{Exit: exitFailed}
		}
	}
	return answer{Options: inPython(o)}
}

// inPython names options as the Python program does, without those that are at
// their default.
func inPython(o *options) map[string]any {
	m := map[string]any{
		"verbose": o.verbose, "traffic": o.traffic, "record": o.record, "daemon": o.daemon, "run_once": o.runOnce,
		"timeout": o.timeout / time.Second, "idle_timeout": o.idleTimeout / time.Second, "cert": o.cert, "key": o.key,
		"key_password": o.keyPassword, "ssl_only": o.sslOnly, "ssl_target": o.sslTarget, "verify_client": o.verifyClient,
		"cafile": o.caFile, "ssl_ciphers": o.sslCiphers, "unix_target": o.unixTarget, "web": o.web, "web_auth": o.webAuth,
		"wrap_mode": o.wrapMode, "source_is_ipv6": o.preferIPv6, "host_token": o.hostToken, "heartbeat": o.heartbeat / time.Second,
		"wrap_cmd": o.wrap, "listen_host": o.listen.host, "listen_port": o.listen.port, "target_host": o.target.host, "target_port": o.target.port,
	}
	if o.inetd {
		m["listen_fd"] = 0
	}
	if o.tokenPlugin != "" {
		m["token_plugin"] = []any{strings.TrimPrefix(o.tokenPlugin, "websockify.token_plugins."), o.tokenSource}
	}
	if o.authPlugin != "" {
		m["auth_plugin"] = []any{o.authPlugin, o.authSource}
	}
	return m
}

// normal makes the two comparable: no defaults, absolute paths, no difference
// between absent and zero.
func normal(t *testing.T, m map[string]any) map[string]any {
	t.Helper()
	b, err := json.Marshal(m)
	require.NoError(t, err)
	var n map[string]any
	require.NoError(t, json.Unmarshal(b, &n))
	for _, path := range []string{"record", "cert", "key", "cafile", "web", "unix_target"} {
		if s, ok := n[path].(string); ok && s != "" {
			n[path] = filepath.Base(s)
		}
	}
	for _, plugin := range []string{"token_plugin", "auth_plugin"} {
		if l, ok := n[plugin].([]any); ok {
			if s, ok := l[1].(string); ok && strings.HasPrefix(s, "/") {
				l[1] = filepath.Base(s)
			} else if l[1] == nil {
				l[1] = ""
			}
		}
	}
	for k, v := range n {
		switch v := v.(type) {
		case nil:
			delete(n, k)
		case bool:
			if !v {
				delete(n, k)
			}
		case float64:
			if v == 0 && k != "listen_fd" {
				delete(n, k)
			}
		case string:
			if v == "" {
				delete(n, k)
			}
		case []any:
			if len(v) == 0 {
				delete(n, k)
			}
		}
	}
	return n
}

// stricter are the errors that only this program has. See docs/websockify.md.
var stricter = []string{"--heartbeat must not be negative", "is not between 0 and 65535", "is not between 1 and 65535"}

func sameAnswer(t *testing.T, args []string, want answer) {
	t.Helper()
	got := ours(t, args)
	if slices.ContainsFunc(stricter, func(s string) bool { return strings.Contains(got.Error, s) }) {
		return
	}
	want.Options, got.Options = normal(t, want.Options), normal(t, got.Options)
	assert.Equal(t, want, got, "%q", args)
}

// Command lines of scripts, and every kind of mistake.
var commandLines = []string{
	"6080 localhost:5900", ":6080 :5900", "127.0.0.1:6080 [::1]:5900", "[::]:6080 ::1:5900", "-6 6080 h:1",
	"6080 localhost:5900 --heartbeat 30 --idle-timeout=60 --record x --timeout 5",
	"--web /tmp --cert self.pem 6080 localhost:5900", "-vD6 6080 h:1", "-6vD 6080 h:1 -v",
	"--verb 6080 h:1", "--ver 6080 h:1", "--verbose=1 6080 h:1", "--ssl 6080 h:1", "--ssl-t 6080 h:1", "--unix x 6080", "--log l 6080 h:1",
	"--h", "--he", "--hel", "-h", "-vh", "-v --help --nope", "--nope --help", "--help=1", "--daem 6080 h:1", "--d 6080 h:1", "--or 6080 h:1",
	"--timeout 5 --timeout 6 6080 h:1", "--timeout 0x10 6080 h:1", "--timeout 010 6080 h:1", "--timeout 0b11 6080 h:1", "--timeout 08 6080 h:1",
	"--timeout 1_000 6080 h:1", "--timeout -5 6080 h:1", "--timeout x 6080 h:1", "--timeout", "--timeout= 6080 h:1", "--heart 5.5 6080 h:1",
	"--wrap-mode ignore 6080 -- prog -v --arg", "6080 --wrap-mode respawn -- prog", "--wrap-mode never 6080 -- prog", "6080 --", "6080 x:1 --", "6080 a -- b",
	"-- 6080 prog", "--", "6080 -v -- prog -- x", "--wrap-mode=", "--token-source -- 6080 x", "--record -- 6080 h:1",
	"", "6080", "x h:1", "6080 h", "6080 h:x", "6080 h:1 more", "6080 5900", "h: h:1", "6080 h:", "6080 :", "[::1]:6080 h:1", "[]:6080 h:1", "-6080 h:1", "-x", "-é", "6080 h:1 -",
	"--token-source x 6080 h:1", "--host-token 6080 h:1", "--auth-source x 6080 h:1", "--web-auth 6080 h:1", "--auth-plugin BasicHTTPAuth --auth-source a:b --web-auth 6080 h:1",
	"--legacy-syslog 6080 h:1", "--syslog h:x 6080 h:1", "--ssl-only 6080 h:1", "--ssl-only --cert /nonexistent 6080 h:1",
	"--token-plugin TokenFile --token-source /t 6080", "--token-plugin TokenFile --token-source /t 6080 h:1", "--target-config /t 6080", "--target-config /t --token-plugin JSONTokenApi 6080",
	"--token-plugin websockify.token_plugins.TokenFile --token-source /t 6080", "--auth-plugin ExpectOrigin --auth-source http://a 6080 h:1",
	"--unix-target /s 6080", "--unix-target /s 6080 h:1", "--inetd h:1", "--inetd", "--inetd 6080 h:1", "--ssl-version tlsv1_2 6080 h:1", "--ssl-version sslv3 6080 h:1", "--ssl-v tlsv1_3 6080 h:1",
	"--key-p x 6080 h:1", "--key k 6080 h:1", "--k k 6080 h:1", "--ce c 6080 h:1", "--c c 6080 h:1", "--t 1 6080 h:1", "--token 1 6080 h:1", "--i 6080 h:1", "--verify --caf x 6080 h:1",
	"--m 1 6080 h:1", "--se 1 6080 h:1", "--view 6080 h:1",
}

// differing are the lines that shall not be the same. See docs/websockify.md.
var differing = map[string]string{
	"--or 6080 h:1":       "an abbreviation of ours",
	"--m 1 6080 h:1":      "an abbreviation of ours",
	"--se 1 6080 h:1":     "an abbreviation of ours",
	"--view 6080 h:1":     "an abbreviation of ours",
	"--ssl-only 6080 h:1": "",
}

func TestOptionsAreThePythonProgramsOwn(t *testing.T) {
	var lines [][]string
	for _, l := range commandLines {
		if differing[l] == "" {
			lines = append(lines, strings.Fields(l))
		}
	}
	for i, a := range python(t, lines) {
		sameAnswer(t, lines[i], a)
	}
}

// Every abbreviation means the same here, whatever options are new.
func TestAbbreviationsAreThePythonProgramsOwn(t *testing.T) {
	var lines [][]string
	for _, o := range new(options).parser("").Options {
		if o.Since != since010 {
			continue
		}
		for n := 1; n <= len(o.Long); n++ {
			lines = append(lines, []string{"--" + o.Long[:n] + "=1", "6080", "h:1"})
			lines = append(lines, []string{"--" + o.Long[:n], "1", "6080", "h:1"})
		}
	}
	for i, a := range python(t, lines) {
		if strings.Contains(a.Error, "no such option") && a.Exit == usage.Status {
			t.Errorf("%q isn't an option there", lines[i])
		}
		sameAnswer(t, lines[i], a)
	}
}

// words are what random command lines are made of.
var words = strings.Fields(`6080 6080 :6080 [::1]:6080 h:5900 h:5900 :5900 x 1 -v -6 -D -vD -6v --verbose --verb --ver --traffic --record --record=r --daemon --run-once
	--timeout --timeout=5 --timeout=x --idle-timeout=1 --cert=c --key=k --ssl-target --verify-client --cafile=c --ssl-version=tlsv1_2 --ssl-version --ssl-ciphers=X
	--unix-target=/u --web=/tmp --web-auth --wrap-mode=exit --wrap-mode=x --prefer-ipv6 --token-plugin=TokenFile --token-source=/t --host-token --auth-plugin=ExpectOrigin
	--auth-source=a --heartbeat=3 --heartbeat --syslog=127.0.0.1:5 --syslog=h:x --legacy-syslog --target-config=/t --nope -x --help --hel --inetd -- -- - prog --l --ssl --t --a`)

func TestRandomCommandLinesMeanTheSame(t *testing.T) {
	t.Parallel()
	const seed, count = 6143, 1500
	random := rand.New(rand.NewPCG(seed, seed))
	lines := make([][]string, count)
	for i := range lines {
		lines[i] = make([]string, random.IntN(7))
		for j := range lines[i] {
			lines[i][j] = words[random.IntN(len(words))]
		}
		// To wrap a program without a listen argument means something only here.
		if slices.Contains(lines[i], "--inetd") {
			lines[i] = slices.DeleteFunc(lines[i], func(w string) bool { return w == "--" })
		}
	}
	different := 0
	for i, a := range python(t, lines) {
		sameAnswer(t, lines[i], a)
		if t.Failed() {
			different++
		}
		if different > 5 {
			t.FailNow()
		}
	}
}

func TestParseIPv4(t *testing.T) {
	for s, want := range map[string]string{
		"0": "0.0.0.0", "127.1": "127.0.0.1", "10.1.258": "10.1.1.2", "1.2.3.4": "1.2.3.4", "0x7f000001": "127.0.0.1", "0X7F.1": "127.0.0.1",
		"010.0.0.1": "8.0.0.1", "4294967295": "255.255.255.255", "1.16777215": "1.255.255.255", "1.2.65535": "1.2.255.255",
		"": "", ".": "", "1.": "", ".1": "", "4294967296": "", "1.16777216": "", "256.1": "", "1.2.3.256": "", "1.2.3.4.5": "", "08": "", "0x": "", "0xg": "",
		"+1": "", "-1": "", "1_0": "", " 1": "", "0b1": "", "0o1": "", "a": "", "::1": "", "localhost": "", "1.2.3.4a": "",
	} {
		ip, ok := parseIPv4(s)
		assert.Equal(t, want != "", ok, s)
		if ok {
			assert.Equal(t, want, ip.String(), s)
		}
	}
}
