package signin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A provider that is out of order is asked once for all who come, and its page isn't repeated.
func TestProviderDown(t *testing.T) {
	var asked atomic.Int32
	arrived, answer := make(chan struct{}, 100), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		arrived <- struct{}{}
		<-answer
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(strings.Repeat("secret words ", 1000)))
	}))
	defer srv.Close()
	o := &OIDC{Issuer: srv.URL, ClientID: "gate", Origin: "https://gate.example", Client: srv.Client()}
	d := New(Config{OIDC: o, Sealer: NewSealer(), Idle: time.Hour, Longest: time.Hour})
	errs := make(chan error, 10)
	var running sync.WaitGroup
	for range cap(errs) {
		running.Go(func() { errs <- o.Begin(d, httptest.NewRecorder(), request("192.0.2.1:1"), "/", false) })
	}
	<-arrived
	close(answer)
	running.Wait()
	for range cap(errs) {
		err := <-errs
		require.ErrorIs(t, err, ErrProvider)
		require.NotContains(t, err.Error(), "secret words")
		require.Contains(t, err.Error(), "500")
	}
	require.Less(t, asked.Load(), int32(5), "not once for each")
}

// One address can't send the gate to the provider as often as it likes.
func TestVisitors(t *testing.T) {
	o := &OIDC{Issuer: "http://127.0.0.1:1", ClientID: "gate", Origin: "https://gate.example", Client: &http.Client{}}
	now := time.Now()
	d := New(Config{OIDC: o, Sealer: NewSealer(), Idle: time.Hour, Longest: time.Hour, Now: func() time.Time { return now }})
	limited := func(err error) bool {
		_, ok := errors.AsType[*TooManyError](err)
		return ok
	}
	for range int(perVisitor.size) / 2 {
		require.ErrorIs(t, o.Begin(d, httptest.NewRecorder(), request("192.0.2.1:1"), "/", false), ErrProvider)
		_, _, err := o.Finish(d, httptest.NewRecorder(), request("192.0.2.1:1"))
		require.ErrorIs(t, err, ErrState)
	}
	require.True(t, limited(o.Begin(d, httptest.NewRecorder(), request("192.0.2.1:1"), "/", false)))
	_, _, err := o.Finish(d, httptest.NewRecorder(), request("192.0.2.1:1"))
	require.True(t, limited(err))
	require.ErrorIs(t, o.Begin(d, httptest.NewRecorder(), request("192.0.2.2:1"), "/", false), ErrProvider)
	now = now.Add(perVisitor.every)
	require.False(t, limited(o.Begin(d, httptest.NewRecorder(), request("192.0.2.1:1"), "/", false)))
}

// However many come at once, a bounded number waits for its password to be checked.
func TestWaiting(t *testing.T) {
	d := New(Config{Accounts: &Accounts{}, Sealer: NewSealer(), Idle: time.Hour, Longest: time.Hour})
	for range cap(d.waiting) {
		d.waiting <- struct{}{}
	}
	_, err := d.Password(request("192.0.2.1:1"), "ann", "x")
	_, ok := errors.AsType[*TooManyError](err)
	require.True(t, ok, "%v", err)
}
