package gate_test

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"

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
