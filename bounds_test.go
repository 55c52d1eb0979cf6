package shadow_test

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
)

// Whatever part of a Config gives no answer: the request is refused while its administrator still waits,
// and the display can be asked about again.
func TestPartsThatGiveNoAnswer(t *testing.T) {
	wss := func(context.Context) (shadow.Settings, error) {
		return shadow.Settings{EnableSessionShadowing: true, ShadowingUseSSL: true}, nil
	}
	groups := policy.Rules{{UserGroups: []string{"kiosk"}}}
	for name, c := range map[string]struct {
		cfg    func(hang func()) shadow.Config
		want   shadow.Reason
		detail string
	}{
		"resolver": {func(hang func()) shadow.Config {
			return shadow.Config{Sessions: sessionFunc(func() (*shadow.Session, error) { hang(); return nil, nil })}
		}, shadow.PromptFailed, "the resolver gave no answer within"},
		"groups": {func(hang func()) shadow.Config {
			return shadow.Config{Rules: groups, GroupNames: func(context.Context, []uint32) ([]string, error) { hang(); return nil, nil }}
		}, shadow.PromptFailed, "Config.GroupNames gave no answer within"},
		"certificates": {func(hang func()) shadow.Config {
			return shadow.Config{Settings: wss, Certificates: certificatesFunc(func() (*tls.Config, error) { hang(); return nil, nil })}
		}, shadow.TLSConfig, "the certificate store gave no answer within"},
		"source's check": {func(hang func()) shadow.Config {
			return shadow.Config{Source: checkFunc(func() error { hang(); return nil })}
		}, shadow.SourceFailed, "the source gave no answer within"},
		"source": {func(hang func()) shadow.Config {
			return shadow.Config{Source: sourceFunc(func() (net.Conn, error) { hang(); return nil, nil })}
		}, shadow.SourceFailed, "the source gave no answer within"},
		"source's server, which knows no deadlines": {func(hang func()) shadow.Config {
			return shadow.Config{Source: sourceFunc(func() (net.Conn, error) { return deafConn{hang: hang}, nil })}
		}, shadow.SourceFailed, "the source's server gave no answer within"},
		"resolver that ends its goroutine": {func(func()) shadow.Config {
			return shadow.Config{Sessions: sessionFunc(func() (*shadow.Session, error) { runtime.Goexit(); return nil, nil })}
		}, shadow.PromptFailed, "the resolver ended its goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var logged log
				cfg := c.cfg(func() { <-release })
				cfg.Logger = zerolog.New(&logged)
				h := start(t, cfg)
				t.Cleanup(func() { close(release) })
				for range 2 { // nothing is left of the first
					before := time.Now()
					r := h.refused(t, c.want)
					assert.Contains(t, r.Detail, c.detail)
					assert.Less(t, time.Since(before), time.Minute)
					assert.Empty(t, h.List())
					assert.Zero(t, h.PortsInUse())
				}
				if name != "resolver that ends its goroutine" {
					assert.Contains(t, logged.String(), "has not answered in time and was given up")
				}
			})
		})
	}
}

// What hangs again and again isn't called again and again: each call keeps something. Who has nothing to do
// with it is served.
func TestPartsThatAlwaysHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int32
		h := start(t, shadow.Config{Sessions: resolverFunc(func(id string) (*shadow.Session, error) {
			if id == "hangs" {
				calls.Add(1)
				<-release
			}
			return oneSession{}.Session(context.Background(), id)
		})})
		for range 20 {
			_, err := h.ask("hangs", "alice")
			require.ErrorContains(t, err, string(shadow.PromptFailed))
		}
		assert.EqualValues(t, 4, calls.Load())
		before := time.Now()
		_, err := h.ask("hangs", "alice")
		require.ErrorContains(t, err, "too many earlier calls of it have not returned")
		assert.Zero(t, time.Since(before))
		_, err = h.ask("other", "alice")
		require.ErrorContains(t, err, string(shadow.NoSession))
		close(release)
		synctest.Wait()
		_, err = h.ask("hangs", "alice")
		require.ErrorContains(t, err, string(shadow.NoSession), "they have returned")
	})
}

type resolverFunc func(id string) (*shadow.Session, error)

func (f resolverFunc) Session(_ context.Context, id string) (*shadow.Session, error) { return f(id) }
func (resolverFunc) Sessions(context.Context) ([]*shadow.Session, error)             { return nil, nil }

// A deafConn is a connection whose calls hang, whatever deadlines are set.
type deafConn struct {
	net.Conn
	hang func()
}

func (d deafConn) Read([]byte) (int, error)    { d.hang(); return 0, net.ErrClosed }
func (d deafConn) Write(p []byte) (int, error) { d.hang(); return len(p), nil }
func (deafConn) Close() error                  { return nil }
func (deafConn) SetDeadline(time.Time) error   { return nil }
func (deafConn) LocalAddr() net.Addr           { return &net.UnixAddr{} }
func (deafConn) RemoteAddr() net.Addr          { return &net.UnixAddr{} }

// A source that opens too late is closed: nothing reads the screen of a view that was refused.
func TestSourceThatOpensTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &fakeSource{}
		release := make(chan struct{})
		h := start(t, shadow.Config{Source: sourceFunc(func() (net.Conn, error) {
			<-release
			return inner.Open(context.Background(), nil)
		})})
		_, err := h.ask("s1", "alice")
		require.ErrorContains(t, err, "gave no answer")
		close(release)
		synctest.Wait()
		opened, open := inner.counts()
		assert.Equal(t, 1, opened)
		assert.Zero(t, open)
	})
}

// Sessions are listed although one source doesn't say what their monitors are.
func TestMonitorsThatGiveNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := start(t, shadow.Config{Source: monitorsFunc(func() { <-release })})
		t.Cleanup(func() { close(release) })
		list, err := h.Sessions(t.Context())
		require.NoError(t, err)
		assert.Len(t, list, 1)
	})
}

type monitorsFunc func()

func (monitorsFunc) Check(context.Context, *shadow.Session) error            { return nil }
func (monitorsFunc) Open(context.Context, *shadow.Session) (net.Conn, error) { return nil, nil }
func (f monitorsFunc) Monitors(context.Context, *shadow.Session) ([]shadow.Monitor, error) {
	f()
	return nil, nil
}

// A source whose connection panics wherever it may harms nobody.
func TestConnectionsThatPanic(t *testing.T) {
	for name, c := range map[string]struct {
		where string
		want  shadow.Reason
	}{
		"Ended":  {"Ended", shadow.ViewerLeft},
		"Detail": {"Detail", shadow.ViewerLeft},
		"Close":  {"Close", shadow.ViewerLeft},
		"Err":    {"Err", shadow.SourceFailed},
		"Read":   {"Read", shadow.SourceFailed},
		"Write":  {"Write", shadow.SourceFailed},

		"SetDeadline": {"SetDeadline", shadow.SourceFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := &panickySource{where: c.where}
			h := start(t, shadow.Config{Source: source})
			h.TidyFor(tick)
			g, err := h.ask("s1", "alice")
			if err != nil { // it was greeted before
				require.ErrorContains(t, err, string(shadow.SourceFailed))
				require.ErrorContains(t, err, "panicked")
				return
			}
			v := view(t, g.URL)
			if c.want == shadow.ViewerLeft {
				v.update()
				v.hangUp()
			} else {
				source.fail(nil)
			}
			assert.Equal(t, c.want, h.until(t, shadow.EventEnded).Reason)
			assert.Empty(t, h.List())
		})
	}
}

type panickySource struct {
	fakeSource
	where string
}

func (s *panickySource) Open(ctx context.Context, session *shadow.Session) (net.Conn, error) {
	conn, err := s.fakeSource.Open(ctx, session)
	return &panickyConn{conn.(*fakeServer), s.where}, err
}

type panickyConn struct {
	*fakeServer
	where string
}

func (c *panickyConn) at(where string) {
	if where == c.where {
		panic("boom")
	}
}

func (c *panickyConn) Ended() <-chan struct{}      { c.at("Ended"); return c.fakeServer.Ended() }
func (c *panickyConn) Err() error                  { c.at("Err"); return c.fakeServer.Err() }
func (c *panickyConn) Detail() string              { c.at("Detail"); return "" }
func (c *panickyConn) Read(p []byte) (int, error)  { c.at("Read"); return c.fakeServer.Read(p) }
func (c *panickyConn) Write(p []byte) (int, error) { c.at("Write"); return c.fakeServer.Write(p) }
func (c *panickyConn) SetDeadline(t time.Time) error {
	c.at("SetDeadline")
	return c.fakeServer.SetDeadline(t)
}

func (c *panickyConn) Close() error {
	_ = c.fakeServer.Close()
	c.at("Close")
	return nil
}

// A log that panics is one that takes nothing.
func TestLogThatPanics(t *testing.T) {
	h := start(t, shadow.Config{Logger: zerolog.New(panickyWriter{})})
	v := view(t, h.granted(t, "s1", "alice").URL) // without a banner, which is logged
	v.update()
	v.hangUp()
	assert.Equal(t, shadow.ViewerLeft, h.until(t, shadow.EventEnded).Reason)
}

type panickyWriter struct{}

func (panickyWriter) Write([]byte) (int, error) { panic("boom") }

// A directory that hangs for an administrator's name isn't asked about it again and again, and keeps nobody from being asked.
func TestAccountsThatAlwaysHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int32
		h := start(t, shadow.Config{Accounts: func(_ context.Context, name string) (string, string, error) {
			if name == "hangs" {
				calls.Add(1)
				<-release
			}
			return name, "", nil
		}})
		for range 10 {
			g, err := h.ask("s1", "hangs")
			require.NoError(t, err)
			require.NoError(t, h.Stop(t.Context(), g.ID, shadow.StoppedByAdmin))
		}
		assert.EqualValues(t, 4, calls.Load())
		close(release)
		synctest.Wait()
	})
}
