package source_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
)

// patience bounds every wait of these tests.
const patience = testenv.Patience

// xSession is a real desktop as a Session.
func xSession(t testing.TB) (*testhost.Desktop, *shadow.Session) {
	t.Helper()
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 200})
	return d, session(d)
}

// both runs a test for each source that reads a display.
func both(t *testing.T, test func(t *testing.T, from shadow.Source)) {
	for name, from := range map[string]shadow.Source{"X11": new(source.X11), "X11vnc": new(source.X11vnc)} {
		t.Run(name, func(t *testing.T) { test(t, from) })
	}
}

// open starts a source for a viewer, and greets it.
func open(t testing.TB, from shadow.Source, s *shadow.Session) (net.Conn, *rfb.ServerConn) {
	t.Helper()
	conn, err := from.Open(t.Context(), s)
	require.NoError(t, err)
	server, err := rfb.Connect(t.Context(), conn)
	require.NoError(t, err)
	return conn, server
}

func pid(conn net.Conn) int { return conn.(interface{ PID() int }).PID() }

// ended waits for the source's process.
func ended(t testing.TB, conn net.Conn) error {
	t.Helper()
	e := conn.(shadow.Ender)
	select {
	case <-e.Ended():
		return e.Err()
	case <-time.After(patience):
		require.FailNow(t, "the source is still there")
		return nil
	}
}

func TestShowsTheSessionAndEndsWithItsConnection(t *testing.T) {
	both(t, func(t *testing.T, from shadow.Source) {
		_, s := xSession(t)
		conn, server := open(t, from, s)
		assert.EqualValues(t, 320, server.Init.Width)
		assert.EqualValues(t, 200, server.Init.Height)
		assert.NoError(t, conn.(interface{ SetReadLowat(n int) error }).SetReadLowat(1), "the relay may wake seldom")
		require.NoError(t, conn.Close())
		select {
		case <-conn.(shadow.Ender).Ended():
		default:
			assert.Fail(t, "Close returned before the process had ended")
		}
		if _, ours := from.(*source.X11); ours {
			assert.NoError(t, ended(t, conn), "it ended well")
		}
	})
}

func TestRunsAsTheUser(t *testing.T) {
	both(t, func(t *testing.T, from shadow.Source) {
		_, s := xSession(t)
		conn, _ := open(t, from, s)
		defer conn.Close()
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid(conn)) + "/status")
		require.NoError(t, err)
		assert.Contains(t, string(status), "Uid:\t"+strings.Repeat(strconv.Itoa(int(s.UID))+"\t", 3))
	})
}

// An X server that dies ends the session, which is known without anything being sent. How soon is
// BenchmarkDeadSession's.
func TestTellsADeadSessionFromAFailure(t *testing.T) {
	both(t, func(t *testing.T, from shadow.Source) {
		d, s := xSession(t)
		conn, _ := open(t, from, s)
		d.Kill()
		assert.ErrorIs(t, ended(t, conn), shadow.ErrSessionEnded)
		require.NoError(t, conn.Close())
	})
}

// BenchmarkDeadSession measures from the end of the X server, and of the child, to the source's reason. Each of its runs
// starts an X server besides: -benchtime=6x is enough.
func BenchmarkDeadSession(b *testing.B) {
	b.Run("X server", func(b *testing.B) {
		deadSession(b, func(d *testhost.Desktop, _ net.Conn) { d.Kill() }, func(err error) {
			require.ErrorIs(b, err, shadow.ErrSessionEnded)
		})
	})
	b.Run("child", func(b *testing.B) {
		deadSession(b, func(_ *testhost.Desktop, conn net.Conn) {
			require.NoError(b, syscall.Kill(pid(conn), syscall.SIGKILL))
		}, func(err error) { require.ErrorContains(b, err, "killed by signal 9") })
	})
}

func deadSession(b *testing.B, kill func(*testhost.Desktop, net.Conn), check func(error)) {
	var took []time.Duration
	for b.Loop() {
		d, s := xSession(b)
		conn, _ := open(b, new(source.X11), s)
		began := time.Now()
		kill(d, conn)
		err := ended(b, conn)
		took = append(took, time.Since(began))
		check(err)
		require.NoError(b, conn.Close())
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(slices.Min(took).Microseconds())/1000, "least-ms")
	b.ReportMetric(float64(slices.Max(took).Microseconds())/1000, "most-ms")
}

func TestFailureHasItsLastWords(t *testing.T) {
	both(t, func(t *testing.T, from shadow.Source) {
		_, s := xSession(t)
		s.Xauthority = filepath.Join(t.TempDir(), "none")
		conn, err := from.Open(t.Context(), s)
		require.NoError(t, err)
		err = ended(t, conn)
		require.ErrorContains(t, err, "exit status")
		assert.NotErrorIs(t, err, shadow.ErrSessionEnded)
		assert.ErrorContains(t, err, "the file with the cookie, "+s.Xauthority)
		assert.NotContains(t, err.Error(), "http")
		require.NoError(t, conn.Close())
	})
}

func TestKilledIsAFailureAndLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, from shadow.Source) {
		_, s := xSession(t)
		conn, _ := open(t, from, s)
		child := pid(conn)
		require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
		err := ended(t, conn)
		require.ErrorContains(t, err, "killed by signal 9")
		assert.NotErrorIs(t, err, shadow.ErrSessionEnded)
		require.NoError(t, conn.Close())
		require.Eventually(t, func() bool { return testhost.Segments(t, child) == 0 }, patience, 10*time.Millisecond, "the X server lets go of its memory")
	})
}

// The X server of a user who is neither root nor the session's isn't told anything.
func TestServerOfAnotherUser(t *testing.T) {
	testenv.Root(t)
	both(t, func(t *testing.T, from shadow.Source) {
		_, s := xSession(t)
		s.UID, s.GID = 4711, 4711
		var refusal *shadow.End
		require.ErrorAs(t, from.Check(t.Context(), s), &refusal)
		assert.Equal(t, shadow.DisplayUnreachable, refusal.Reason)
		assert.Contains(t, refusal.Detail, "another user may be pretending to be")
	})
}
