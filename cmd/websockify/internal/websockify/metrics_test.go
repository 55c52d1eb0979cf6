package websockify

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMetrics(t *testing.T) {
	p := theGo.start(t, "LISTEN", echoTarget(t), "--metrics", "127.0.0.1:0")
	url := regexp.MustCompile(`metrics at (http\S+)`).FindStringSubmatch(p.err.String())[1]
	read := func() string {
		r, err := http.Get(url)
		require.NoError(t, err)
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return string(b)
	}
	c := openSession(t, p.addr, "/")
	status(get("/"))(dialRaw(t, p.addr))
	assert.Contains(t, read(), "\nwebsockify_sessions 1\n")
	assert.Contains(t, read(), `websockify_build_info{version="`)
	c.send(bye)
	c.rest()
	p.says("session ended")
	got := read()
	for _, line := range []string{`websockify_sessions 0`, `websockify_sessions_total{code="1000"} 1`, `websockify_bytes_total{direction="to_client"} 5`,
		`websockify_http_requests_total 1`, `websockify_connect_duration_seconds_count{result="connected"} 1`, `websockify_session_duration_seconds_count 1`} {
		assert.Contains(t, got, "\n"+line+"\n")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestTraffic(t *testing.T) {
	p := theGo.start(t, "LISTEN", echoTarget(t), "--traffic")
	c := openSession(t, p.addr, "/")
	c.send(bye)
	c.rest()
	p.until("all marks", func() bool {
		_, marks, _ := strings.Cut(p.out.String(), "Client send\n")
		return strings.Contains(marks, "}") && strings.Contains(marks, ">") && strings.Contains(marks, "{") && strings.Contains(marks, "<")
	})
	assert.Contains(t, p.out.String(), "Traffic Legend:")
}

// Both programs record the same of the same session.
func TestRecordingsAreTheSame(t *testing.T) {
	target := serve(t, listenLoopback(t), func(c net.Conn) {
		_, _ = io.WriteString(c, "RFB 003.008\n\x00'\\\"\xff\t\r")
		b := make([]byte, 4)
		_, _ = io.ReadFull(c, b)
		_, _ = io.WriteString(c, "end")
		_, _ = c.Read(b)
	})
	var recordings [2]string
	for _, i := range []implementation{thePython, theGo} {
		dir := t.TempDir()
		p := i.launchIn(t, dir, nil, "LISTEN", target, "--record", "rec")
		p.says("proxying from")
		c := dialRaw(t, p.addr).upgrade("/")
		c.stream(19)
		c.send(frame(binFin, "\x00a'b"))
		c.stream(3)
		c.send(bye)
		c.rest()
		var b []byte
		p.until("the recording", func() bool {
			b, _ = os.ReadFile(filepath.Join(dir, "rec.1"))
			return strings.HasSuffix(string(b), "'EOF'];\n")
		})
		recordings[i] = regexp.MustCompile(`'([{}])\d+([{}])`).ReplaceAllString(string(b), "'${1}0${2}")
		p.says("opening record file: " + dir + "/rec.1")
	}
	assert.Equal(t, recordings[thePython], recordings[theGo])
}

// A connection that sends nothing counts there, and not here.
func TestRecordNumbers(t *testing.T) {
	for i, number := range map[implementation]string{thePython: "2", theGo: "1"} {
		dir := t.TempDir()
		p := i.launchIn(t, dir, nil, "LISTEN", echoTarget(t), "--record", "rec")
		p.says("proxying from")
		dialRaw(t, p.addr).Close()
		openSession(t, p.addr, "/")
		p.says("opening record file: " + dir + "/rec." + number)
	}
}

// --metrics listens on what it names and on nothing else.
func TestMetricsAddress(t *testing.T) {
	for given, address := range map[string]string{"0.0.0.0:0": "0.0.0.0", "0:0": "0.0.0.0", ":0": "0.0.0.0", "[::]:0": "[::]", "[::1]:0": "[::1]"} {
		p := theGo.start(t, "LISTEN", echoTarget(t), "--metrics", given)
		assert.Contains(t, p.err.String(), "metrics at http://"+address+":", given)
	}
}
