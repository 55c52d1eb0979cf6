package wrap

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// nobody is a user who isn't this test's.
const nobody = 65534

// server is a program of Python's that listens where its first argument says, as the user that the second names, and does what it is told, a word a line:
// accept, close (who listens), say (what it was sent until the connection's end).
const server = `
import os, socket, sys
where = sys.argv[1]
os.setuid(int(sys.argv[2]))
if where.startswith('/'):
    ln = socket.socket(socket.AF_UNIX); ln.bind(where)
else:
    host, port = where.rsplit(':', 1)
    ln = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
    ln.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    ln.bind((host, int(port)))
ln.listen(5)
print('listening', ln.getsockname()[1] if not where.startswith('/') else '', flush=True)
for order in sys.stdin:
    order = order.strip()
    if order == 'accept': c, _ = ln.accept()
    if order == 'close': ln.close()
    if order == 'say':
        got = b''
        while (b := c.recv(4096)): got += b
        print(repr(got), flush=True); continue
    print(order, flush=True)
`

// A servant is a process that listens.
type servant struct {
	t    *testing.T
	in   io.Writer
	out  *bufio.Reader
	port string
}

// serve runs one as a user until the test ends.
func serve(t *testing.T, where string, uid uint32) *servant {
	t.Helper()
	cmd := exec.Command(testenv.Program(t, "python3", "python3"), "-c", server, where, fmt.Sprint(uid))
	cmd.Dir = "/"
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := &servant{t: t, in: in, out: bufio.NewReader(out)}
	s.port = strings.TrimSpace(strings.TrimPrefix(s.line(), "listening"))
	return s
}

func (s *servant) line() string {
	s.t.Helper()
	line, err := s.out.ReadString('\n')
	require.NoError(s.t, err)
	return strings.TrimSpace(line)
}

// order has it do something.
func (s *servant) order(word string) {
	s.t.Helper()
	_, err := fmt.Fprintln(s.in, word)
	require.NoError(s.t, err)
	require.Equal(s.t, word, s.line())
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Who listens where the program should, as another user, is told from it, before and after it takes the connection.
func TestVerifyAStranger(t *testing.T) {
	testenv.Root(t)
	p := new(Program)
	for _, where := range []string{"127.0.0.1:0", "0.0.0.0:0", ":::0"} {
		t.Run(where, func(t *testing.T) {
			stranger, own := serve(t, where, nobody), serve(t, where, 0)
			for _, state := range []string{"waiting", "accepted"} {
				bad, good := dial(t, "tcp4", "127.0.0.1:"+stranger.port), dial(t, "tcp4", "127.0.0.1:"+own.port)
				if state == "accepted" {
					for _, s := range []*servant{stranger, own} { // the first time it is the one of before
						s.order("accept")
						s.order("accept")
					}
				}
				err := p.Verify(bad)
				require.ErrorIs(t, err, ErrForeign, state)
				assert.ErrorContains(t, err, "127.0.0.1:"+stranger.port+" is served by a program of uid 65534", state)
				require.NoError(t, p.Verify(good), state)
			}
		})
	}
}

// A stranger who has taken the connection, and left the place to the program, is told from it all the same.
func TestVerifyAStrangerWhoHasLeft(t *testing.T) {
	testenv.Root(t)
	stranger := serve(t, "127.0.0.1:0", nobody)
	conn := dial(t, "tcp", "127.0.0.1:"+stranger.port)
	stranger.order("accept")
	stranger.order("close")
	ln, err := net.Listen("tcp", "127.0.0.1:"+stranger.port)
	require.NoError(t, err)
	defer ln.Close()
	require.ErrorIs(t, new(Program).Verify(conn), ErrForeign)
	require.NoError(t, new(Program).Verify(dial(t, "tcp", ln.Addr().String())))
}

func TestVerifyAUnixSocket(t *testing.T) {
	testenv.Root(t)
	dir, err := os.MkdirTemp("", "wrap") // where everybody may come in
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	for uid, name := range map[uint32]string{nobody: "stranger", 0: "own"} {
		path := filepath.Join(dir, name)
		serve(t, path, uid)
		err := new(Program).Verify(dial(t, "unix", path))
		if uid == nobody {
			require.ErrorIs(t, err, ErrForeign)
		} else {
			require.NoError(t, err)
		}
	}
}

// A program may change its user, and so may its children; when it has ended that user is a stranger.
func TestVerifyAProgramThatChangesItsUser(t *testing.T) {
	testenv.Root(t)
	python := testenv.Program(t, "python3", "python3")
	for name, command := range map[string]string{
		"itself":  "exec " + python + " \"$0\" 127.0.0.1:{port} 65534 <ORDERS",
		"a child": "exec <ORDERS; " + python + " \"$0\" 127.0.0.1:{port} 65534; exit 0",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script, orders := filepath.Join(dir, "server.py"), filepath.Join(dir, "orders")
			require.NoError(t, os.WriteFile(script, []byte(server), 0o600))
			require.NoError(t, mkfifo(orders))
			ended := make(chan int, 1)
			p, err := Prepare(Options{Command: []string{"sh", "-c", strings.ReplaceAll(command, "ORDERS", orders), script},
				OnEnd: func(status int, _ time.Duration) { ended <- status }})
			require.NoError(t, err)
			ctx, cancel := contextWithCancel(t)
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				_, _ = p.Run(ctx, ModeIgnore)
			}()
			in, err := os.OpenFile(orders, os.O_WRONLY, 0) // waits for the program
			require.NoError(t, err)
			address := fmt.Sprintf("127.0.0.1:%d", p.Port())
			var conn net.Conn
			require.Eventually(t, func() bool {
				conn, err = net.Dial("tcp", address)
				return err == nil
			}, 5*time.Minute, 10*time.Millisecond)
			defer conn.Close()
			require.NoError(t, p.Verify(conn))
			require.NoError(t, in.Close())
			require.Zero(t, <-ended)
			stranger := serve(t, address, nobody)
			require.ErrorIs(t, p.Verify(dial(t, "tcp", "127.0.0.1:"+stranger.port)), ErrForeign)
			cancel()
			<-stopped
		})
	}
}

func TestDescends(t *testing.T) {
	all := map[int]process{1: {parent: 0, start: 1}, 10: {parent: 1, start: 5}, 11: {parent: 10, start: 5}, 12: {parent: 11, start: 6}, 13: {parent: 20, start: 7}, 20: {parent: 10, start: 9}}
	for pid, want := range map[int]bool{10: true, 11: true, 12: true, 1: false, 13: false, 20: true, 99: false} {
		assert.Equal(t, want, descends(all, pid, 10), pid)
	}
}

func TestParseProcess(t *testing.T) {
	const stat = "7 (a) b) S 3 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 2"
	pr, ok := parseProcess(stat, "Name:\ta)\nUid:\t1\t2\t3\t4\nGid:\t9\n")
	require.True(t, ok)
	assert.Equal(t, process{parent: 3, start: 4711, uids: []uint32{1, 2, 3, 4}}, pr)
	for _, bad := range [][2]string{{"", ""}, {stat, "Name:\ta\n"}, {"7 (a) S 3", "\nUid:\t1\n"}, {stat, "\nUid:\tx\n"}} {
		_, ok := parseProcess(bad[0], bad[1])
		assert.False(t, ok, bad)
	}
}
