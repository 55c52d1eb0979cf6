package rfb

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
)

// startX11vnc starts x11vnc on a desktop, with one end of a socket pair, and
// returns the other. It is an ordinary one that takes input: whatever protects
// the desktop here is this package.
func startX11vnc(t testing.TB, d *testhost.Desktop) (net.Conn, *child.Process) {
	t.Helper()
	path := testenv.Program(t, "x11vnc", "x11vnc")
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	// -speeds: else x11vnc stops for two seconds, once it has sent some 100 KB,
	// to see how soon its viewer asks for more.
	cmd := exec.Command(path, "-inetd", "-norc", "-nopw", "-nosel", "-nolookup", "-nonap", "-wait", "5", "-defer", "5",
		"-ncache", "0", "-speeds", "lan", "-timeout", "15", "-o", "/dev/null")
	cmd.Stdin, cmd.Stdout = theirs, theirs
	p, err := d.SpawnCmd(cmd)
	require.NoError(t, err)
	return conn, p
}

// exits waits until a server has ended because its viewer is gone; all that it
// was sent has been looked at then.
func exits(t testing.TB, p *child.Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(waitFor):
		require.FailNow(t, "the server did not end")
	}
}

// version finds a version number in what a program says about itself.
func version(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	v := regexp.MustCompile(`\d+\.\d+\.\d+`).Find(out)
	require.NotEmpty(t, v, "%s tells no version: %v: %s", name, err, out)
	return string(v)
}

// xvnc is a running Xvnc: an X server that speaks RFB itself.
type xvnc struct {
	display string
	socket  string
}

func startXvnc(t testing.TB, geometry string, more ...string) *xvnc {
	t.Helper()
	return startXvncIn(t, nil, geometry, more...)
}

// startXvncIn is startXvnc with more in its environment.
func startXvncIn(t testing.TB, env []string, geometry string, more ...string) *xvnc {
	t.Helper()
	path := testenv.Program(t, "Xvnc", "tigervnc-standalone-server")
	answer, number, err := os.Pipe()
	require.NoError(t, err)
	defer answer.Close()
	defer number.Close()
	// Unix sockets have short names.
	dir, err := os.MkdirTemp("", "xvnc")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	x := &xvnc{socket: filepath.Join(dir, "rfb")}
	cmd := exec.Command(path, "-displayfd", "3", "-geometry", geometry, "-depth", "24", "-nolisten", "tcp", "-ac",
		"-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", x.socket)
	cmd.Args = append(cmd.Args, more...)
	cmd.ExtraFiles = []*os.File{number}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	p, err := child.Start(cmd, child.Own())
	require.NoError(t, err)
	t.Cleanup(func() { p.Stop(0, 5*time.Second) })
	number.Close()
	require.NoError(t, answer.SetReadDeadline(time.Now().Add(waitFor)))
	line, err := bufio.NewReader(answer).ReadString('\n')
	require.NoError(t, err, "Xvnc does not start")
	x.display = ":" + strings.TrimSpace(line)
	return x
}

// dial connects to the server.
func (x *xvnc) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", x.socket)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// do runs a program on the display.
func (x *xvnc) do(t testing.TB, name string, args ...string) {
	t.Helper()
	out, err := x.output(t, name, args...)
	require.NoError(t, err, "%s: %s", name, out)
}

// output is what a program on the display says.
func (x *xvnc) output(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitFor)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"DISPLAY=" + x.display, "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// spawn starts a program on the display that runs until the test ends.
func (x *xvnc) spawn(t testing.TB, name string, args ...string) {
	t.Helper()
	path := testenv.Program(t, name, "x11-apps")
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"DISPLAY=" + x.display, "PATH=" + os.Getenv("PATH")}
	p, err := child.Start(cmd, child.Own())
	require.NoError(t, err)
	t.Cleanup(func() { p.Stop(0, time.Second) })
}

// reader follows a server's stream and knows where its messages end.
type reader struct {
	t       testing.TB
	conn    net.Conn
	walker  *walker
	updates int    // complete ones so far
	all     []byte // everything read
}

func newReader(t testing.TB, conn net.Conn, init ServerInit, format PixelFormat, encodings []Encoding) *reader {
	a := newAgreed(init.Width, init.Height)
	for _, e := range encodings {
		a.allow(encodingBit(e))
	}
	return &reader{t: t, conn: conn, walker: newWalker(a, format, 0)}
}

// update reads to the end of the next FramebufferUpdate, and of whatever was
// read with it.
func (r *reader) update() {
	r.t.Helper()
	require.NoError(r.t, r.conn.SetReadDeadline(time.Now().Add(waitFor)))
	buf := make([]byte, serverBuffer)
	for begun := r.updates; r.updates == begun || !r.walker.between(); {
		n, err := r.conn.Read(buf)
		require.NoError(r.t, err)
		r.all = append(r.all, buf[:n]...)
		updates, err := countUpdates(r.walker, buf[:n])
		require.NoError(r.t, err)
		r.updates += updates
	}
}

// countUpdates walks p byte by byte and counts the FramebufferUpdates that end
// in it.
func countUpdates(w *walker, p []byte) (n int, err error) {
	for i := range p {
		before := w.between()
		if _, err := w.walk(p[i : i+1]); err != nil {
			return n, err
		}
		if !before && w.between() && !w.hide {
			n++
		}
	}
	return n, nil
}

// The smuggle of a viewer that names Apple's version: libvncserver then reads
// neither a SecurityResult's nor a ClientInit's place in the stream, and takes
// what looks like ClientInit and a FramebufferUpdateRequest for a PointerEvent.
func TestVersionSmuggleAgainstX11vnc(t *testing.T) {
	t.Parallel()
	smuggle := unhex(t, "01 05 03 00 4d00 5800 0100 0100")
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 240})
	where := func() [2]int {
		x, y, err := d.Pointer(t.Context())
		require.NoError(t, err)
		return [2]int{x, y}
	}
	rest := [2]int{200, 100}
	require.NoError(t, d.Move(t.Context(), rest[0], rest[1]))
	require.Equal(t, rest, where())

	// A proxy that hands on what it believes to understand is bypassed: there
	// is something to protect from.
	direct, p := startX11vnc(t, d)
	bare := newPeer(t, direct)
	bare.sends([]byte("RFB 003.889\n"), smuggle)
	assert.Eventually(t, func() bool { return where() == [2]int{77, 88} }, waitFor, 20*time.Millisecond,
		"x11vnc is no longer fooled: this test needs another server to be worth something")
	direct.Close()
	exits(t, p)

	require.NoError(t, d.Move(t.Context(), rest[0], rest[1]))
	server, p := startX11vnc(t, d)
	conn, viewer := pipe(t)
	done := background(func() error { return new(Relay).Run(t.Context(), conn, server) })
	viewer.gets([]byte("RFB 003.008\n"))
	viewer.sends([]byte("RFB 003.889\n"))
	go viewer.Write(smuggle)
	assert.ErrorIs(t, result(t, done), ErrMalformed)
	exits(t, p)
	assert.Equal(t, rest, where(), "the pointer stays where it was")
}

func TestNothingReachesTheSession(t *testing.T) {
	t.Parallel()
	d := testhost.Require(t, testhost.Options{Width: 320, Height: 240, WindowManager: true})
	require.NoError(t, d.Move(t.Context(), 200, 100))
	log, err := d.WatchInput(t.Context())
	require.NoError(t, err)
	defer log.Close()

	server, p := startX11vnc(t, d)
	conn, far := pipe(t)
	drops := 0
	done := background(func() error {
		return (&Relay{Name: "desk", OnDrop: func(ClientMessageType) { drops++ }}).Run(t.Context(), conn, server)
	})
	init := shown
	init.Width, init.Height = 320, 240
	far.view(init)
	far.sends(noVNC(t, 320, 240))
	r := newReader(t, far, init, pinned, viewed)
	r.update()

	for range 20 {
		far.sends(unhex(t, "04 01 0000 00000061 04 00 0000 00000061 05 00 0010 0020 05 01 0020 0030 05 00 0020 0030"))
		far.sends(unhex(t, "ff 00 0001 00000061 0000001e 06 000000 00000003 616263"))
	}
	// The answer to a request that came later: whatever was sent before has
	// been looked at.
	far.sends(wire(t, FramebufferUpdateRequest{Rect: Rect{0, 0, 320, 240}}))
	r.update()

	events, err := log.Events(t.Context())
	require.NoError(t, err)
	assert.Empty(t, events)
	x, y, err := d.Pointer(t.Context())
	require.NoError(t, err)
	assert.Equal(t, [2]int{200, 100}, [2]int{x, y})

	far.sends(unhex(t, "0a 01 0010 0020")) // SetSW
	assert.ErrorIs(t, result(t, done), ErrForbidden)
	assert.Equal(t, 140, drops)
	exits(t, p)
	x, y, err = d.Pointer(t.Context())
	require.NoError(t, err)
	assert.Equal(t, [2]int{200, 100}, [2]int{x, y})
}
