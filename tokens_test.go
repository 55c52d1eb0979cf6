package shadow_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

func TestTokens(t *testing.T) {
	h := start(t, shadow.Config{})
	g := h.granted(t, "s1", "alice")
	for query, reason := range map[string]string{
		"": "token missing", "?token=": "token missing", "?Token=" + g.Token: "token missing",
		"?token=wrong": "token wrong", "?token=" + g.Token[1:]: "token wrong",
	} {
		u, _ := url.Parse(g.URL)
		v, err := dial(t, "ws://"+u.Host+"/websockify"+query, nil)
		require.NoError(t, err)
		v.turnedAway(1008, reason)
	}
	for range 5 {
		assert.NotContains(t, h.until(t, shadow.EventRejected).Detail, g.Token)
	}
	v := view(t, g.URL) // still good
	v.update()
	_, err := dial(t, g.URL, nil) // used
	require.Error(t, err)
}

// Two who bring the same token at once: one is the viewer.
func TestTokenIsGoodOnce(t *testing.T) {
	h := start(t, shadow.Config{})
	g := h.granted(t, "s1", "alice")
	u, err := url.Parse(g.URL)
	require.NoError(t, err)
	const n = 8
	conns := make([]net.Conn, n) // all there before the port stops listening
	for i := range conns {
		conns[i], err = net.Dial("tcp", u.Host)
		require.NoError(t, err)
		t.Cleanup(func() { conns[i].Close() })
	}
	admitted := make(chan bool, n)
	for _, c := range conns {
		go func() {
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(c, "GET "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
			answer := make([]byte, 4096)
			var got []byte
			for !bytes.Contains(got, []byte("RFB 003.008")) {
				k, err := c.Read(answer)
				got = append(got, answer[:k]...)
				if err != nil {
					break
				}
			}
			admitted <- bytes.Contains(got, []byte("RFB 003.008"))
		}()
	}
	first := <-admitted
	for !first { // the losers are turned away while the winner stays
		first = <-admitted
	}
	require.NoError(t, h.Stop(context.Background(), g.ID, shadow.StoppedByAdmin))
	for range n {
		select {
		case again := <-admitted:
			assert.False(t, again, "the token admitted two")
		default:
		}
	}
	assert.Equal(t, 1, h.count(shadow.EventConnected))
}

func TestForeignOrigin(t *testing.T) {
	h := start(t, shadow.Config{OriginPatterns: []string{"director.corp"}})
	g := h.granted(t, "s1", "alice")
	evil, err := dial(t, g.URL, http.Header{"Origin": {"https://evil.example"}})
	require.NoError(t, err)
	evil.turnedAway(1008, `origin "https://evil.example" not allowed`)
	h.until(t, shadow.EventRejected)
	_, err = dial(t, g.URL, http.Header{"Origin": {"https://director.corp"}})
	require.NoError(t, err, "a refused origin used the token up")
}

func TestOptionalToken(t *testing.T) {
	h := start(t, shadow.Config{TokenOptional: true})
	g := h.granted(t, "s1", "alice")
	v := view(t, "ws://127.0.0.1:"+strconv.Itoa(g.Port)+"/")
	v.update()
	_, err := dial(t, g.URL, nil)
	require.Error(t, err, "a second viewer got in")
}
