package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/testenv"
)

// conns are n connections of a user.
func conns(t *testing.T, b *book, uid uint32, n int) (list []*peerConn) {
	t.Helper()
	for range n {
		c := &peerConn{UnixConn: new(net.UnixConn), uid: uid, root: uid == 0, busy: true}
		if !b.enter(c) {
			c.refused = errors.New("closed at once")
		}
		list = append(list, c)
	}
	return list
}

func served(list []*peerConn) (n int) {
	for _, c := range list {
		if c.refused == nil {
			n++
		}
	}
	return n
}

// No user has the others' places, and root has some of its own.
func TestLimitsPerUser(t *testing.T) {
	var b book
	assert.Equal(t, maxUserCalls, served(conns(t, &b, 1, maxUserCalls+5)))
	assert.Equal(t, maxUserCalls, served(conns(t, &b, 2, maxUserCalls+5)))
	for uid := range uint32(4) {
		conns(t, &b, 3+uid, maxUserCalls)
	}
	assert.Zero(t, served(conns(t, &b, 9, 1)), "no room for users is left")
	assert.Equal(t, forRoot, served(conns(t, &b, 0, forRoot+1)))
	assert.Equal(t, maxExcess, b.excess)
}

// Streams take no calls' places, nor calls streams'.
func TestStreamsCountApart(t *testing.T) {
	var b book
	for range maxUserStreams {
		c := conns(t, &b, 1, 1)[0]
		require.NoError(t, b.toStream(c))
	}
	list := conns(t, &b, 1, maxUserCalls)
	assert.Equal(t, maxUserCalls, served(list))
	require.ErrorContains(t, b.toStream(list[0]), "too many streams of events")
	require.NoError(t, b.toStream(conns(t, &b, 2, 1)[0]))
}

// Of one's own connections the oldest that waits for nothing makes room.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	var b book
	list := conns(t, &b, 1, maxUserCalls)
	b.setBusy(list[3], false)
	b.setBusy(list[5], false)
	assert.Equal(t, 1, served(conns(t, &b, 1, 1)))
	assert.False(t, slices.Contains(b.conns, list[3]))
	assert.True(t, slices.Contains(b.conns, list[5]))
	b.leave(list[3]) // it is closed by its server, too
	assert.Len(t, b.conns, maxUserCalls)
}

// A user of the group who holds connections keeps neither root out nor another user. Real
// uids.
func TestAUserWhoHoldsConnections(t *testing.T) {
	testenv.Root(t)
	dir, err := os.MkdirTemp("", "control") // t.TempDir's parent is closed to others
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "control.sock")
	ln, err := Listen(path, "users")
	require.NoError(t, err)
	serveOn(t, ln, NewHandler(&fakeEngine{}, Options{}))

	as := func(uid uint32, variable string) *exec.Cmd {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{variable + "=" + path, "GORACE=atexit_sleep_ms=0"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: 100}}
		cmd.Dir = "/"
		return cmd
	}
	hog := as(65533, hogVariable)
	stdin, err := hog.StdinPipe()
	require.NoError(t, err)
	stdout, err := hog.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, hog.Start())
	defer func() { _ = stdin.Close(); _ = hog.Wait() }()
	_, err = io.ReadFull(stdout, make([]byte, len("held\n")))
	require.NoError(t, err)

	out, err := as(65534, peerVariable).CombinedOutput()
	require.NoError(t, err)
	assert.Equal(t, "<nil>\n", string(out))
	_, err = api.Client{Socket: path}.List(t.Context())
	require.NoError(t, err)
}

// hold holds many connections, each with a stream, a call that was begun, or nothing, until
// its standard input ends.
func hold(socket string) {
	for i := range 200 {
		c, err := net.Dial("unix", socket)
		if err != nil {
			break
		}
		defer c.Close()
		request := []string{"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n", "POST /v1/shadows HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", ""}[i%3]
		_, _ = io.WriteString(c, request)
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// Without a descriptor left the API answers, also where a group may use it.
func TestWithoutDescriptors(t *testing.T) {
	for _, group := range []string{"", "daemon"} {
		t.Run(group, func(t *testing.T) { withoutDescriptors(t, group) })
	}
}

func withoutDescriptors(t *testing.T, group string) {
	path := filepath.Join(t.TempDir(), "control.sock")
	ln, err := Listen(path, group)
	if group != "" && err != nil {
		testenv.Lack(t, "no socket of the group %s: %v", group, err)
	}
	require.NoError(t, err)
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer c.Close()

	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = 256
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	var all []*os.File
	defer func() {
		for _, f := range all {
			_ = f.Close()
		}
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	}()
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			require.ErrorIs(t, err, syscall.EMFILE)
			break
		}
		all = append(all, f)
	}
	serveOn(t, ln, NewHandler(&fakeEngine{}, Options{}))
	_, err = io.WriteString(c, "GET /v1/shadows HTTP/1.1\r\nHost: shadowd\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 200"), "%s", answer)
}

// Who has no room is told so.
func TestNoRoomIsSaid(t *testing.T) {
	p := refusedProblem(&errExcess{"connections"})
	assert.Equal(t, http.StatusServiceUnavailable, p.Status)
	assert.Equal(t, 1, p.RetryAfter)
	assert.Contains(t, p.Detail, "too many connections")
}

// Two daemons that find one stale socket: one has it.
func TestOneDaemonPerSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	first, err := Listen(path, "")
	require.NoError(t, err)
	defer first.Close()
	require.NoError(t, os.Remove(path)) // as if it were not there yet
	_, err = Listen(path, "")
	require.ErrorContains(t, err, "another daemon has")
}
