package gate_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/testgate"
)

// A listener knows what its host has granted.
type listener struct {
	*hosts.Local
	granted chan *api.Grant
}

func (l *listener) Ask(ctx context.Context, r api.Request) (*api.Grant, error) {
	g, err := l.Local.Ask(ctx, r)
	if err == nil {
		l.granted <- g
	}
	return g, err
}

// Whoever signs in, asks and views never gets the token of the granted port, nor where that is.
func TestTokenStaysInTheGate(t *testing.T) {
	t.Parallel()
	d := testgate.NewDaemon(t)
	l := &listener{&hosts.Local{Client: d.Client, Called: testgate.Host}, make(chan *api.Grant, 1)}
	g := testgate.New(t, nil, testgate.Options{Hosts: []hosts.Host{l}})
	up(t, g)
	c := g.SignIn("alice")
	var seen strings.Builder
	resp, err := c.Send(t.Context(), http.MethodPost, "/api/v1/shadows", gate.Wish{Session: "s1"})
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(&seen, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Header.Write(&seen))
	grant := <-l.granted
	c.View(grant.ID).Picture()
	eventually(t, "the activity has the viewer", func() bool {
		var list gate.HappeningList
		c.Get("/api/v1/activity?shadow="+grant.ID+"&type=connected", &list)
		return len(list.Events) == 1
	})
	for _, path := range []string{"/api/v1/shadows", "/api/v1/shadows/" + grant.ID, "/api/v1/sessions", "/api/v1/activity", "/api/v1/activity?format=csv"} {
		seen.Write(c.Do(http.MethodGet, path, nil, http.StatusOK))
	}
	require.NotEmpty(t, grant.Token)
	require.NotContains(t, seen.String(), grant.Token)
	require.NotContains(t, seen.String(), grant.URL)
	require.NotContains(t, g.Log.String(), grant.Token)
}
