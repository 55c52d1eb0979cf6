package testhost

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/printed"
)

// startLimit bounds the start of an X server and of its window manager.
const startLimit = 3 * time.Minute

// Options say what desktop [Start] makes. The zero Options are a good one.
type Options struct {
	Width, Height int             // pixels; 0 means 1024 and 768
	Depth         int             // bits a pixel: 8, 15, 16, 24 or 30; 0 means 24
	DPI           int             // dots an inch that the server claims; 0 means 96
	WindowManager bool            // run openbox, and return when it manages windows
	Identity      *child.Identity // whose desktop; nil: nobody's (65534) if we are root, else our own
	Args          []string        // more arguments for the X server
	Env           []string        // more for its environment
	Server        string          // Xvfb, which the empty one is; Xtigervnc, an RFB server as well: see [Desktop.RFB]; or Xorg with xorgxrdp's drivers, without an RDP client
}

// A Desktop is a running virtual desktop. Its methods are safe for concurrent
// use.
type Desktop struct {
	Display    string         // ":1"
	Xauthority string         // file with the display's cookie, readable by Identity only
	Identity   child.Identity // whose desktop it is
	Home       string         // a private, writable folder of Identity, gone after Close
	RFB        string         // socket of Xtigervnc's RFB server, for Identity and root only; empty: the server is Xvfb

	dir    string // holds Home and the cookies
	secret []byte // of the display's cookie
	server *child.Process
	log    printed.Tail // what the X server said last

	mu       sync.Mutex
	closed   bool
	number   *os.File // keeps the display's number once the server was killed; else nil
	programs map[*child.Process]struct{}
	watchers sync.WaitGroup // forget, one a program
	close    sync.Once
}

// ErrClosed says that the desktop was closed.
var ErrClosed = errors.New("desktop is closed")

// Start starts a desktop and returns when programs can use it. ctx bounds the
// start, not the desktop's life; the caller ends that with Close. Whatever
// happens to this process, the desktop's processes end with it.
func Start(ctx context.Context, o Options) (*Desktop, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	d := &Desktop{Identity: defaultIdentity(), programs: make(map[*child.Process]struct{})}
	if o.Identity != nil {
		d.Identity = *o.Identity
	}
	if err := d.makeHome(); err != nil {
		return nil, err
	}
	err := d.startServer(ctx, o)
	if err == nil && o.WindowManager {
		err = d.startWindowManager(ctx)
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// defaultIdentity is nobody for root and otherwise the caller.
func defaultIdentity() child.Identity {
	if os.Getuid() == 0 {
		return child.Identity{UID: 65534, GID: 65534}
	}
	return child.Own()
}

// makeHome makes the private folder and, for servers that are not root's, the
// folder of X sockets, which only its owner may create on a fresh machine.
func (d *Desktop) makeHome() error {
	if err := os.Mkdir("/tmp/.X11-unix", 0o777); err == nil {
		err = os.Chmod("/tmp/.X11-unix", fs.ModeSticky|0o777)
		if err != nil {
			return fmt.Errorf("making the folder of X sockets: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "desktop-")
	if err != nil {
		return fmt.Errorf("making a home: %w", err)
	}
	d.dir, d.Home = dir, filepath.Join(dir, "home")
	if err := os.Mkdir(d.Home, 0o700); err != nil {
		return fmt.Errorf("making a home: %w", err)
	}
	for _, path := range []string{d.Home, d.dir} {
		if err := os.Chown(path, int(d.Identity.UID), int(d.Identity.GID)); err != nil {
			return fmt.Errorf("giving the home to uid %d: %w", d.Identity.UID, err)
		}
	}
	return nil
}

// XorgPath is where Debian has the Xorg that an ordinary user may start.
const XorgPath = "/usr/lib/xorg/Xorg"

// startServer starts Xvfb on a display number of its own choice.
func (d *Desktop) startServer(ctx context.Context, o Options) error {
	server := cmp.Or(o.Server, "Xvfb")
	if server == "Xorg" {
		server = XorgPath
	}
	path, err := tool(server)
	if err != nil {
		return err
	}
	cookie, err := d.newCookie()
	if err != nil {
		return err
	}
	answer, number, err := os.Pipe()
	if err != nil {
		return err
	}
	defer answer.Close()
	defer number.Close()
	width, height, depth := orDefault(o.Width, 1024), orDefault(o.Height, 768), orDefault(o.Depth, 24)
	d.secret = cookie.secret
	args := []string{
		"-displayfd", "3", "-auth", cookie.file, "-nolisten", "tcp", "-noreset", "-dpi", strconv.Itoa(orDefault(o.DPI, 96)),
	}
	env := []string{"PATH=" + searchPath}
	switch o.Server {
	case "Xorg":
		args = append(args, "-config", "xrdp/xorg.conf", "-logfile", filepath.Join(d.Home, "Xorg.log"), "-depth", strconv.Itoa(depth))
		env = append(env, "HOME="+d.Home, "XRDP_START_WIDTH="+strconv.Itoa(width), "XRDP_START_HEIGHT="+strconv.Itoa(height))
	case "Xtigervnc":
		d.RFB = filepath.Join(d.Home, "rfb")
		args = append(args, "-geometry", fmt.Sprintf("%dx%d", width, height), "-depth", strconv.Itoa(depth),
			"-rfbport", "-1", "-rfbunixpath", d.RFB, "-SecurityTypes", "None")
	default:
		args = append(args, "-screen", "0", fmt.Sprintf("%dx%dx%d", width, height, depth))
	}
	args = append(args, o.Args...)
	cmd := exec.Command(path, args...)
	cmd.ExtraFiles = []*os.File{number}
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	cmd.WaitDelay = time.Second
	cmd.Env = append(env, o.Env...)
	if d.server, err = child.Start(cmd, d.Identity); err != nil {
		return fmt.Errorf("starting Xvfb: %w", err)
	}
	number.Close()
	n, err := readDisplay(ctx, answer)
	if err != nil {
		d.server.Stop(0, time.Second) // now the log is complete
		return fmt.Errorf("no Xvfb: %w: %s", err, d.log.String())
	}
	d.Display = ":" + strconv.Itoa(n)
	d.Xauthority, err = d.writeXauthority(cookie, n)
	return err
}

// readDisplay reads the number that -displayfd announces.
func readDisplay(ctx context.Context, answer *os.File) (int, error) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = answer.SetReadDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = answer.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := bufio.NewReaderSize(answer, 16).ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

// readyProperty is set on the root window by openbox's startup command.
const readyProperty = "_TESTHOST_READY"

// startWindowManager starts openbox and waits until it manages windows. That it
// says so (_NET_SUPPORTING_WM_CHECK) is not enough: a window that is mapped
// between then and the end of openbox's start is never shown.
func (d *Desktop) startWindowManager(ctx context.Context) error {
	if _, err := tool("xprop"); err != nil {
		return err
	}
	p, err := d.Spawn("openbox", "--sm-disable", "--startup", "xprop -root -format "+readyProperty+" 8s -set "+readyProperty+" yes")
	if err != nil {
		return err
	}
	return Until(ctx, "openbox managing windows", func() (bool, error) {
		select {
		case <-p.Done():
			return false, fmt.Errorf("openbox ended: exit code %d", p.ExitCode())
		default:
		}
		out, err := d.Run(ctx, "xprop", "-root", readyProperty)
		return err == nil && strings.Contains(string(out), "yes"), nil
	})
}

// Done is closed when the desktop's X server has ended.
func (d *Desktop) Done() <-chan struct{} { return d.server.Done() }

// ServerPID is the X server's process id.
func (d *Desktop) ServerPID() int { return d.server.PID() }

// Kill ends the X server at once, as a crash would, and returns when it is
// gone. Programs that use it notice on their own; Close is still needed, and
// until then no other X server takes the display's number.
func (d *Desktop) Kill() {
	_ = syscall.Kill(d.server.PID(), syscall.SIGKILL)
	<-d.server.Done()
	d.keepNumber()
}

// keepNumber takes the abstract socket of the display, without which no X
// server starts, and doesn't listen on it.
func (d *Desktop) keepNumber() {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	socket := os.NewFile(uintptr(fd), "display "+d.Display)
	if unix.Bind(fd, &unix.SockaddrUnix{Name: "@/tmp/.X11-unix/X" + strings.TrimPrefix(d.Display, ":")}) != nil {
		socket.Close() // somebody was faster
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.number = socket
}

// Close ends the desktop and everything that Spawn started in it, reaps them
// and removes its files. Further calls do nothing.
func (d *Desktop) Close() error {
	var err error
	d.close.Do(func() { err = d.shut() })
	return err
}

func (d *Desktop) shut() error {
	d.mu.Lock()
	d.closed = true
	number := d.number
	running := make([]*child.Process, 0, len(d.programs))
	for p := range d.programs {
		running = append(running, p)
	}
	d.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range running {
		wg.Go(func() { p.Stop(0, time.Second) })
	}
	wg.Wait()
	d.watchers.Wait()
	if d.server != nil {
		d.server.Stop(0, 2*time.Second)
		d.removeLock()
	}
	if number != nil {
		number.Close()
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("removing the home: %w", err)
	}
	return nil
}

// removeLock removes what a killed X server leaves behind, so that its number
// is free again. An X server that ended in order has done so itself; one that
// took the number since then has another pid in its lock.
func (d *Desktop) removeLock() {
	n := strings.TrimPrefix(d.Display, ":")
	if n == "" {
		return
	}
	lock := "/tmp/.X" + n + "-lock"
	pid, err := os.ReadFile(lock)
	if err == nil && strings.TrimSpace(string(pid)) == strconv.Itoa(d.server.PID()) {
		_ = os.Remove("/tmp/.X11-unix/X" + n)
		_ = os.Remove(lock)
	}
}

func orDefault(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}
