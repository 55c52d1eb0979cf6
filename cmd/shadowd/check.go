package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/host/account"
)

// checked says whether shadowd would start with the configuration and serve requests. The
// error names everything that would stop the start or refuse every request.
func checked(ctx context.Context, o options, path string, cfg *config.Config, stdout io.Writer) error {
	c := checker{cfg: cfg}
	c.control(ctx)
	c.audit()
	c.programs()
	c.ports()
	c.sessions(ctx)
	c.requests(ctx, path)
	if len(c.wrong) > 0 {
		return fmt.Errorf("%s: %w", o.config, errors.Join(c.wrong...))
	}
	if _, err := os.Stat(o.config); errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintf(stdout, "%s isn't there: the defaults count\n", o.config)
		return err
	}
	_, err := fmt.Fprintf(stdout, "%s: fine\n", o.config)
	return err
}

// A checker looks for what would go wrong on this host.
type checker struct {
	cfg   *config.Config
	wrong []error
}

func (c *checker) add(key, format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
}

// control looks at the control socket's group, and whether its folder can be had.
func (c *checker) control(ctx context.Context) {
	if name := c.cfg.Control.Group; name != "" {
		if _, err := account.GroupID(ctx, name); err != nil {
			c.add("control.group", "%w; create the group, or name another one", err)
		}
	}
	if info, err := os.Lstat(c.cfg.Control.Socket); err == nil && info.Mode().Type() != fs.ModeSocket {
		c.add("control.socket", "%s is in the way: it isn't a socket", c.cfg.Control.Socket)
	}
}

// audit looks whether the audit's file can be made.
func (c *checker) audit() {
	path := c.cfg.Log.Audit
	if path == "" {
		return
	}
	target := path
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		c.add("log.audit", "%s is a folder; name a file in it", path)
		return
	case errors.Is(err, fs.ErrNotExist):
		target = filepath.Dir(path)
	}
	if err := unix.Access(target, unix.W_OK); err != nil {
		c.add("log.audit", "%s can't be written: %w", target, err)
	}
}

// programs looks at the programs that are run.
func (c *checker) programs() {
	program := func(key, path string) {
		if path == "" {
			return
		}
		if _, err := exec.LookPath(path); err != nil {
			c.add(key, "%s can't be run: %w; correct the path", path, errors.Unwrap(err))
		}
	}
	first := func(command []string) string {
		if len(command) == 0 {
			return ""
		}
		return command[0]
	}
	if c.cfg.Consent.Prompter == "exec" {
		program("consent.exec", first(c.cfg.Consent.Exec))
	}
	if c.cfg.Sessions.Resolver == "exec" {
		program("sessions.exec", first(c.cfg.Sessions.Exec))
	}
	if kind := c.cfg.Source.Kind; kind == "x11vnc" || kind == "auto" {
		program("source.x11vnc", c.cfg.Source.X11VNC)
	}
	if c.cfg.Source.Kind == "x11vnc" && c.cfg.Source.X11VNC == "" {
		if _, err := exec.LookPath("x11vnc"); err != nil {
			c.add("source.kind", `x11vnc isn't on PATH; install it, or use kind = "x11"`)
		}
	}
}

// ports looks whether the address is one of this host's.
func (c *checker) ports() {
	listen := c.cfg.Ports.Listen
	if listen == "" {
		return
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(listen, "0"))
	if err != nil {
		c.add("ports.listen", "%s can't be listened on: %w; leave it out, or name an address that ip address shows", listen, errors.Unwrap(err))
		return
	}
	_ = ln.Close()
}

// sessions looks at the accounts of sessions that are written down.
func (c *checker) sessions(ctx context.Context) {
	if c.cfg.Sessions.Resolver != "static" {
		return
	}
	for _, s := range c.cfg.Sessions.Static {
		if _, err := account.Lookup(ctx, s.User); err != nil {
			c.add("sessions.static", "session %q: %w", s.ID, err)
		}
	}
}

// requests looks at what every request needs.
func (c *checker) requests(ctx context.Context, path string) {
	settings, err := config.SettingsFrom(path)(ctx)
	if err != nil {
		c.add("settings", "they can't be read, and every request would be refused: %w", err)
	}
	host := c.cfg.Viewer.Host
	if host == "" {
		if host, err = shadow.FQDN(ctx); err != nil {
			c.add("viewer.host", "this host doesn't know its name: %w; set viewer.host", err)
			return
		}
	}
	if settings.ShadowingUseSSL {
		if _, err := c.cfg.NewStore().TLSConfig(host); err != nil {
			c.add("ShadowingUseSSL", "it is 1, and the certificate can't be used: %s", strings.TrimPrefix(err.Error(), "tlsstore: "))
		}
	}
}
