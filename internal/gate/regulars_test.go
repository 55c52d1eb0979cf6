package gate_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
)

// A person who opens one connection after the other has the newest of them.
func TestManyConnectionsOfOnePerson(t *testing.T) {
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	alice, nick := g.SignIn("alice"), g.SignIn("nick")
	over := func(c *testgate.Client) *testgate.Client { // another connection, in the same browser
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		return &testgate.Client{HTTP: &http.Client{Jar: c.HTTP.Jar, Transport: transport, Timeout: testgate.Patience}, Gate: g, Header: c.Header}
	}
	look := func(c *testgate.Client) (again bool) {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { again = i.Reused }})
		answer, err := c.Send(ctx, http.MethodGet, "/api/v1/me", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		_, err = io.Copy(io.Discard, answer.Body) // or it isn't used again
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return again
	}
	first, others := over(alice), over(nick)
	require.False(t, look(first))
	require.False(t, look(others))
	for range gate.MaxRegular {
		require.False(t, look(over(alice)))
	}
	assert.False(t, look(first), "it has its connection still")
	assert.True(t, look(others), "another person's has gone")
}

// A connection whose upgrade was refused is its person's for as long as the gate waits for the goodbye.
func TestRefusedUpgradesAreTheirPersons(t *testing.T) {
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	alice := g.SignIn("alice")
	alice.HTTP.CloseIdleConnections()
	eventually(t, "the one that signed in has gone", func() bool { return g.Gate.Regulars("alice") == 0 })
	deadline := time.Now().Add(testgate.Patience)
	for { // until the look came before the gate had waited for long enough
		require.True(t, time.Now().Before(deadline))
		c, err := net.Dial("tcp", g.Address())
		require.NoError(t, err)
		req, err := http.NewRequest(http.MethodGet, g.URL+"/view/nosuch", nil)
		require.NoError(t, err)
		for _, cookie := range alice.Cookies() {
			req.AddCookie(cookie)
		}
		for name, value := range map[string]string{"Origin": g.URL, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
			req.Header.Set(name, value)
		}
		require.NoError(t, req.Write(c))
		in := bufio.NewReader(c)
		answer, err := http.ReadResponse(in, req)
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
		opcode, err := in.ReadByte()
		require.NoError(t, err)
		require.EqualValues(t, 0x88, opcode, "a close")
		theirs := g.Gate.Regulars("alice")
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		_, err = io.Copy(io.Discard, in)
		open := errors.Is(err, os.ErrDeadlineExceeded)
		require.NoError(t, c.Close())
		if open {
			require.Equal(t, 1, theirs)
			break
		}
	}
	eventually(t, "it has gone", func() bool { return g.Gate.Regulars("alice") == 0 })
}
