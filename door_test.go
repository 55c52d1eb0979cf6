package shadow_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// A log is what a Logger has written.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// portOf is the address of a grant's port.
func portOf(t *testing.T, g *shadow.Grant) string {
	t.Helper()
	u, err := url.Parse(g.URL)
	require.NoError(t, err)
	return u.Host
}

// Those who hold connections, one request after the other, don't keep the viewer out.
func TestStrangersDoNotKeepTheViewerOut(t *testing.T) {
	var logged log
	h := start(t, shadow.Config{Logger: zerolog.New(&logged)})
	g := h.granted(t, "s1", "alice")
	host := portOf(t, g)
	var crowd sync.WaitGroup
	defer crowd.Wait()
	done := make(chan struct{})
	defer close(done)
	for range 260 {
		c, err := net.Dial("tcp", host)
		require.NoError(t, err)
		crowd.Go(func() {
			defer c.Close()
			answers := bufio.NewReader(c)
			for {
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				resp, err := http.ReadResponse(answers, nil)
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
				}
				select {
				case <-done:
					return
				case <-time.After(500 * time.Millisecond):
				}
			}
		})
	}
	v := view(t, g.URL)
	v.update()
	v.hangUp()
	assert.Equal(t, shadow.ViewerLeft, h.until(t, shadow.EventEnded).Reason)
}

// Nor do those who say nothing, who are counted.
func TestSilentStrangersMakeRoom(t *testing.T) {
	var logged log
	h := start(t, shadow.Config{Logger: zerolog.New(&logged)})
	g := h.granted(t, "s1", "alice")
	for range 260 {
		c, err := net.Dial("tcp", portOf(t, g))
		require.NoError(t, err)
		defer c.Close()
	}
	v := view(t, g.URL)
	v.update()
	assert.Positive(t, h.Crowd().Crowded)
	v.hangUp()
	e := h.until(t, shadow.EventEnded)
	assert.GreaterOrEqual(t, e.Rejected, int64(260-64))
	assert.Contains(t, logged.String(), "connections without a token were turned away")
}

// What the end says counts those as well who came before the viewer was cut off.
func TestStrangersAreCountedAcrossAReturn(t *testing.T) {
	h := start(t, shadow.Config{Reconnect: patience})
	g := h.granted(t, "s1", "alice")
	for range 100 {
		c, err := net.Dial("tcp", portOf(t, g))
		require.NoError(t, err)
		defer c.Close()
	}
	view(t, g.URL).hangUp()
	h.until(t, shadow.EventAway)
	view(t, g.URL).update()
	h.until(t, shadow.EventReturned)
	require.NoError(t, h.Stop(t.Context(), g.ID, shadow.StoppedByAdmin))
	assert.GreaterOrEqual(t, h.until(t, shadow.EventEnded).Rejected, int64(100-64))
}

// A connection has one request.
func TestOneRequestAConnection(t *testing.T) {
	h := start(t, shadow.Config{})
	g := h.granted(t, "s1", "alice")
	for _, upgrade := range []string{"", "Upgrade: websocket\r\nConnection: Upgrade\r\n"} { // the latter a bad handshake
		c, err := net.Dial("tcp", portOf(t, g))
		require.NoError(t, err)
		defer c.Close()
		request := "GET / HTTP/1.1\r\nHost: x\r\n" + upgrade + "\r\n"
		_, err = io.WriteString(c, request+request)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		got, err := io.ReadAll(c)
		if err != nil {
			require.ErrorContains(t, err, "reset") // the second request was not read
		}
		assert.Equal(t, 1, strings.Count(string(got), "HTTP/1.1 4"), "%s", got)
	}
}

// A connection has three seconds until it has shown the token, however much it says meanwhile: for the whole
// request, and for all of a request that leads nowhere, where there is no page.
func TestStrangersTimeIsAbsolute(t *testing.T) {
	for name, request := range map[string]string{
		"headers":  "GET / HTTP/1.1\r\nHost: x\r\nX: ",
		"a wish":   "GET /websockify HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX: ",
		"the body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, shadow.Config{})
			c, err := net.Dial("tcp", portOf(t, h.granted(t, "s1", "alice")))
			require.NoError(t, err)
			defer c.Close()
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				_, _ = io.Copy(io.Discard, c)
			}()
			_, err = io.WriteString(c, request)
			require.NoError(t, err)
			for begun := time.Now(); ; {
				require.Less(t, time.Since(begun), patience, "it may go on for ever")
				select {
				case <-gone:
					return
				case <-time.After(50 * time.Millisecond):
					_, _ = io.WriteString(c, "x")
				}
			}
		})
	}
}

// A stranger's noise makes a few lines, and the log says how many are missing.
func TestNoiseIsLeftOut(t *testing.T) {
	var logged log
	h := start(t, shadow.Config{Logger: zerolog.New(&logged)})
	g := h.granted(t, "s1", "alice")
	const n = 100
	for range n {
		v := viewFrom(t, "127.0.0.2", strings.Split(g.URL, "?")[0]+"?token=wrong")
		v.turnedAway(1008, "token wrong")
	}
	require.NoError(t, h.Stop(t.Context(), g.ID, shadow.StoppedByAdmin))
	assert.Equal(t, int64(n), h.until(t, shadow.EventEnded).Rejected)
	told, left := 0, 0
	for line := range strings.Lines(logged.String()) {
		var l struct {
			Remote string
			Left   int `json:"left_out"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		if strings.HasPrefix(l.Remote, "127.0.0.2:") {
			told++
		}
		left += l.Left
	}
	assert.Less(t, told, 30)
	assert.Equal(t, n, told+left, "what isn't there is counted")
}
