package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/pelletier/go-toml/v2"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
)

// hostName is what the user is told that this machine is called, and what is in
// the URL that is granted. The page puts its own host there.
const hostName = "vda1.corp.example"

// session is the desktop's name in the control API.
const session = "demo"

// A daemon is shadowd as the demo runs it.
type daemon struct {
	client  api.Client
	dir     string // configuration and socket
	process *child.Process
	log     tail
}

// startDaemon starts shadowd for one desktop and returns when it answers. page
// is where the page will be served: it decides who may reach the viewers'
// ports, and from which page.
func startDaemon(ctx context.Context, path string, d *testhost.Desktop, page *net.TCPAddr) (*daemon, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("shadowd is not built; do: make build (%w)", err)
	}
	dir, err := os.MkdirTemp("", "shadowd-")
	if err != nil {
		return nil, err
	}
	s := &daemon{dir: dir, client: api.Client{Socket: filepath.Join(dir, "control.sock")}}
	if err := s.start(ctx, path, d, page); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *daemon) start(ctx context.Context, path string, d *testhost.Desktop, page *net.TCPAddr) error {
	config, err := configuration(d, page, s.client.Socket)
	if err != nil {
		return err
	}
	file := filepath.Join(s.dir, "shadowing.toml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	cmd := exec.Command(path, "--config", file)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	cmd.WaitDelay = time.Second
	s.process, err = child.Start(cmd, child.Own())
	if err != nil {
		return fmt.Errorf("starting shadowd: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return testhost.Until(ctx, "shadowd to answer", func() (bool, error) {
		select {
		case <-s.process.Done():
			return false, s.failure("shadowd doesn't start")
		default:
		}
		_, err := s.client.Sessions(ctx)
		return err == nil, nil
	})
}

// configuration is shadowd's configuration file.
func configuration(d *testhost.Desktop, page *net.TCPAddr, socket string) ([]byte, error) {
	owner, err := user.LookupId(strconv.Itoa(int(d.Identity.UID)))
	if err != nil {
		return nil, fmt.Errorf("the desktop's user: %w", err)
	}
	type table map[string]any
	port := strconv.Itoa(page.Port)
	listen, origins := "127.0.0.1", []string{"localhost:" + port, "127.0.0.1:" + port}
	if !page.IP.IsLoopback() {
		listen, origins = "0.0.0.0", []string{"*:" + port}
	}
	return toml.Marshal(table{
		"ports":  table{"listen": listen},
		"viewer": table{"host": hostName, "origins": origins},
		"sessions": table{
			"resolver": "static",
			"static":   []table{{"id": session, "display": d.Display, "user": owner.Username, "xauthority": d.Xauthority}},
		},
		"control": table{"socket": socket},
	})
}

func (s *daemon) done() <-chan struct{} { return s.process.Done() }

// failure is an error with the last that shadowd logged.
func (s *daemon) failure(what string) error {
	return fmt.Errorf("%s with exit code %d; its last words:\n%s", what, s.process.ExitCode(), s.log.String())
}

// stop ends shadowd, as its service manager would, and removes its files.
func (s *daemon) stop() error {
	var err error
	if s.process != nil {
		s.process.Stop(0, 10*time.Second)
		if code := s.process.ExitCode(); code != 0 {
			err = s.failure("shadowd ended")
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - 4<<10; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
