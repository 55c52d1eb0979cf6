package rfb

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// These tests capture servers that no other test needs. They do nothing unless
// the traces are to be written.

// needs ends a capture whose programs aren't there.
func needs(t *testing.T, program, packages string) string {
	t.Helper()
	return testenv.Program(t, program, packages)
}

// starts starts a program as this test's user, which ends with the test.
func starts(t *testing.T, cmd *exec.Cmd) *child.Process {
	t.Helper()
	if cmd.Env == nil {
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	}
	p, err := child.Start(cmd, child.Own())
	require.NoError(t, err)
	t.Cleanup(func() { p.Stop(0, 5*time.Second) })
	return p
}

// dials connects to a server that is starting.
func dials(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	var conn net.Conn
	require.Eventually(t, func() (ok bool) {
		var err error
		conn, err = net.Dial(network, addr)
		return err == nil
	}, waitFor, 20*time.Millisecond, "%s does not listen", addr)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// socketDir is a folder for unix sockets, which have short names.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rfb")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	return dir
}

// some are fewer scenarios.
func some(names ...string) (all []scenario) {
	for _, s := range scenarios() {
		for _, name := range names {
			if s.name == name {
				all = append(all, s)
			}
		}
	}
	return all
}

// keep writes a trace that was played.
func keep(t *testing.T, tr *captured, server string, s scenario) {
	t.Helper()
	assert.GreaterOrEqual(t, tr.updates, 6)
	write(t, tr.Session, server, s.name)
}

func TestLiveX0vncserver(t *testing.T) {
	if !*updateFiles {
		t.Skip("only with -update: it captures real peers anew")
	}
	path := needs(t, "x0vncserver", "tigervnc-scraping-server")
	server := "x0vncserver-" + version(t, "x0vncserver", "-version")
	d := testhost.Require(t, testhost.Options{Width: 160, Height: 120})
	pictures(t, func(name string, args ...string) {
		_, err := d.Spawn(name, args...)
		require.NoError(t, err)
	}, func(name string, args ...string) {
		_, err := d.Run(t.Context(), name, args...)
		require.NoError(t, err)
	})
	socket := filepath.Join(socketDir(t), "rfb")
	_, err := d.SpawnCmd(exec.Command(path, "-rfbunixpath", socket, "-rfbunixmode", "0666", "-rfbport", "0",
		"-localhost", "-SecurityTypes", "None"))
	require.NoError(t, err)
	for _, s := range some("tight-32", "hextile-16", "zrle-32", "tight-jpeg-32") {
		tr := live(t, dials(t, "unix", socket), server, s, func(step int) {
			require.NoError(t, d.SetRoot(t.Context(), colors[step]))
			require.NoError(t, d.Move(t.Context(), 10+40*step, 60))
		})
		keep(t, tr, server, s)
	}
}

func TestLiveQEMU(t *testing.T) {
	if !*updateFiles {
		t.Skip("only with -update: it captures real peers anew")
	}
	path := needs(t, "qemu-system-x86_64", "qemu-system-x86")
	server := "qemu-" + version(t, path, "--version")
	dir := socketDir(t)
	socket, control := filepath.Join(dir, "rfb"), filepath.Join(dir, "monitor")
	disk := filepath.Join(dir, "disk")
	require.NoError(t, os.WriteFile(disk, stripes, 0o644))
	starts(t, exec.Command(path, "-display", "none", "-vnc", "unix:"+socket, "-monitor", "unix:"+control+",server=on,wait=off",
		"-m", "16", "-accel", "tcg", "-nodefaults", "-vga", "std", "-drive", "format=raw,file="+disk))
	monitor := dials(t, "unix", control)
	require.Eventually(t, func() bool {
		conn := dials(t, "unix", socket)
		defer conn.Close()
		c, err := Connect(t.Context(), conn)
		return err == nil && 8*int(c.Init.Height) == 5*int(c.Init.Width)
	}, 3*waitFor, 100*time.Millisecond, "the machine does not boot")
	keys := 0
	change := func(int) {
		keys++
		_, err := fmt.Fprintf(monitor, "sendkey %c\n", 'a'+keys%26)
		require.NoError(t, err)
	}
	list := func(e ...Encoding) []Encoding {
		return append(e, EncodingDesktopSize, EncodingDesktopName, EncodingLEDState, EncodingCompress0+6)
	}
	for _, s := range []scenario{
		{name: "raw-32", format: pinned, encodings: list()},
		{name: "hextile-32", format: pinned, encodings: list(EncodingHextile)},
		{name: "hextile-16", format: format16, encodings: list(EncodingHextile)},
		{name: "zlib-32", format: pinned, encodings: list(EncodingZlib)},
		{name: "tight-32", format: pinned, encodings: list(EncodingTight)},
		{name: "tight-8", format: format8, encodings: list(EncodingTight)},
		{name: "tightpng-32", format: pinned, encodings: list(EncodingTightPNG)},
		{name: "zrle-32", format: pinned, encodings: list(EncodingZRLE)},
		{name: "zywrle-32", format: pinned, encodings: list(EncodingZYWRLE, EncodingZRLE, EncodingQuality0+5)}, // sends ZRLE without a quality
		{name: "extensions-32", format: pinned, encodings: list(EncodingTight, EncodingQEMUPointer, EncodingQEMUKey,
			EncodingQEMUAudio, EncodingExtendedDesktopSize, EncodingXVP, EncodingCursorWithAlpha, EncodingCursor)},
	} {
		tr := live(t, dials(t, "unix", socket), server, s, change)
		keep(t, tr, server, s)
	}
}

// stripes is a disk that a PC boots from: in a graphics mode, it draws stripes
// of other colours after each key.
var stripes = func() []byte {
	b := make([]byte, 512)
	copy(b, []byte{
		0xb8, 0x13, 0x00, // mov ax, 13h: 320 x 200, 256 colours
		0xcd, 0x10, // int 10h
		0xb4, 0x00, // wait: mov ah, 0
		0xcd, 0x16, // int 16h: a key
		0x68, 0x00, 0xa0, // push a000h
		0x07,       // pop es
		0x31, 0xff, // xor di, di
		0xb9, 0x00, 0x40, // mov cx, 4000h
		0xaa,       // draw: stosb
		0x40,       // inc ax
		0xe2, 0xfc, // loop draw
		0xeb, 0xed, // jmp wait
	})
	b[510], b[511] = 0x55, 0xaa
	return b
}()

func TestLiveLibvncserver(t *testing.T) {
	if !*updateFiles {
		t.Skip("only with -update: it captures real peers anew")
	}
	cc := needs(t, "cc", "gcc libc6-dev libvncserver-dev")
	desk := filepath.Join(t.TempDir(), "desk")
	out, err := exec.Command(cc, "-o", desk, traces+"/libvncserver/desk.c", "-lvncserver").CombinedOutput()
	require.NoError(t, err, "do: apt-get install libvncserver-dev: %s", out)
	out, err = exec.Command("pkg-config", "--modversion", "libvncserver").Output()
	if err != nil {
		out, err = exec.Command("dpkg-query", "-W", "-f", "${Version}", "libvncserver-dev").Output()
	}
	require.NoError(t, err)
	release, _, _ := strings.Cut(strings.TrimSpace(string(out)), "+")
	server := "libvncserver-" + release
	play := scenarios()
	list := []Encoding{EncodingCopyRect, EncodingLastRect, EncodingCursor, EncodingDesktopSize}
	for _, e := range []struct {
		name string
		Encoding
	}{{"ultra", EncodingUltra}, {"zywrle", EncodingZYWRLE}, {"tightpng", EncodingTightPNG}} {
		play = append(play, scenario{name: e.name + "-32", format: pinned, encodings: append([]Encoding{e.Encoding}, list...)})
	}
	play = append(play, scenario{name: "extensions-32", format: pinned, encodings: append([]Encoding{
		EncodingZRLE, EncodingKeyboardLEDState, EncodingSupportedMessages, EncodingSupportedEncodings, EncodingServerIdentity,
		EncodingExtendedDesktopSize, EncodingXVP, EncodingExtendedClipboard}, list...)})
	for _, s := range play {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
		conn, err := net.FileConn(ours)
		require.NoError(t, err)
		steps, step, err := os.Pipe()
		require.NoError(t, err)
		cmd := exec.Command(desk)
		cmd.Stdin, cmd.ExtraFiles = theirs, []*os.File{steps}
		p := starts(t, cmd)
		for _, f := range []*os.File{ours, theirs, steps} {
			f.Close()
		}
		tr := live(t, conn, server, s, func(int) {
			_, err := step.Write([]byte{1})
			require.NoError(t, err)
		})
		keep(t, tr, server, s)
		conn.Close()
		step.Close()
		exits(t, p)
	}
}

func TestLiveXtightvnc(t *testing.T) {
	if !*updateFiles {
		t.Skip("only with -update: it captures real peers anew")
	}
	path := needs(t, "Xtightvnc", "tightvncserver xfonts-base")
	out, _ := exec.Command(path, "-version").CombinedOutput()
	_, release, _ := strings.Cut(string(out), "TightVNC-")
	server := "Xtightvnc-" + strings.Fields(release)[0]
	dir := socketDir(t)
	x := &xvnc{display: ":" + strconv.Itoa(freeDisplay(t))}
	password := filepath.Join(dir, "passwd")
	var secret [challengeLen]byte // how VNC programs keep passwords: one block, the fixed key of all of them
	copy(secret[:], "secret")
	b := obfuscate(secret)
	require.NoError(t, os.WriteFile(password, b[:8], 0o600))
	port := 5900 + mustAtoi(t, x.display[1:])
	starts(t, exec.Command(path, x.display, "-geometry", "160x120", "-depth", "24", "-rfbport", strconv.Itoa(port),
		"-localhost", "-nolisten", "tcp", "-ac", "-rfbauth", password))
	dials(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port)).Close()
	// xdotool needs extensions that this server doesn't have.
	pictures(t, func(name string, args ...string) { x.spawn(t, name, args...) }, func(_ string, args ...string) {
		class := strings.ToLower(args[len(args)-1])
		require.Eventually(t, func() bool {
			cmd := exec.Command("xwininfo", "-root", "-tree")
			cmd.Env = []string{"DISPLAY=" + x.display, "PATH=" + os.Getenv("PATH")}
			out, _ := cmd.Output()
			return strings.Contains(strings.ToLower(string(out)), class)
		}, waitFor, 50*time.Millisecond, "no %s", class)
	})
	for _, s := range some("tight-32", "corre-32", "zlib-16", "hextile-8", "rre-32") {
		s.password = "secret"
		tr := live(t, dials(t, "tcp", fmt.Sprintf("127.0.0.1:%d", port)), server, s, func(step int) {
			x.do(t, "xsetroot", "-solid", colors[step])
		})
		keep(t, tr, server, s)
	}
}

func mustAtoi(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

// freeDisplay is the number of a display that nobody uses.
func freeDisplay(t *testing.T) int {
	for n := 71; n < 99; n++ {
		if _, err := os.Stat(fmt.Sprintf("/tmp/.X11-unix/X%d", n)); err != nil {
			return n
		}
	}
	require.FailNow(t, "no free display")
	return 0
}

// obfuscate is how VNC programs write passwords to files: encrypted with a key
// that all of them have.
func obfuscate(password [challengeLen]byte) [challengeLen]byte {
	return vncResponse(password, "\x17\x52\x6b\x06\x23\x4e\x58\x07")
}
