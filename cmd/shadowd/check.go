package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/host/account"
	"vda.internal/shadow/internal/host/service"
	"vda.internal/shadow/internal/host/strict"
	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/internal/parts"
	"vda.internal/shadow/source"
)

// lookTime bounds each look at the host that may have to wait.
const lookTime = 5 * time.Second

// checked says whether shadowd would start with the configuration and serve requests. The
// error names everything that would stop the start or refuse every request.
func checked(ctx context.Context, o options, path string, cfg *config.Config, stdout io.Writer) error {
	c := checker{cfg: cfg, unit: service.Look(ctx)}
	c.control(ctx)
	c.audit()
	c.programs()
	c.source(ctx)
	c.ports(ctx)
	c.sessions(ctx)
	c.fleet()
	c.requests(ctx, path)
	if len(c.wrong) > 0 {
		return fmt.Errorf("%s: %w", o.config, errors.Join(c.wrong...))
	}
	if _, err := os.Stat(o.config); errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintf(stdout, "%s isn't there: the defaults count\n", o.config)
		return err
	}
	but := ""
	if c.refuses != "" {
		but = ", but every request is refused: " + c.refuses
	}
	if c.unseen != "" {
		but += "; " + c.unseen
	}
	_, err := fmt.Fprintf(stdout, "%s: fine%s\n", o.config, but)
	return err
}

// A checker looks for what would go wrong on this host.
type checker struct {
	cfg     *config.Config
	unit    service.Unit // the service's, which may do less than who checks
	wrong   []error
	refuses string // the setting by which every request is refused on purpose; "": none
	unseen  string // what can't be known from here; "": nothing
}

func (c *checker) add(key, format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
}

// control looks at the control socket's group, and whether its folder can be had.
func (c *checker) control(ctx context.Context) {
	if name := c.cfg.Control.Group; name != "" {
		if _, err := account.GroupID(ctx, name); err != nil {
			c.add("control.group", "%s; create the group, or name another one", err)
		}
	}
	if info, err := os.Lstat(c.cfg.Control.Socket); err == nil && info.Mode().Type() != fs.ModeSocket {
		c.add("control.socket", "%s is in the way: it isn't a socket", c.cfg.Control.Socket)
	}
	if err := canMake(filepath.Dir(c.cfg.Control.Socket)); err != nil {
		c.add("control.socket", "its folder can't be made: %w", err)
	}
	c.writes("control.socket", c.cfg.Control.Socket, "/run")
}

// writes looks whether the service's unit lets it write to path. instead is where it may.
func (c *checker) writes(key, path, instead string) {
	if directive := c.unit.ReadOnly(path); directive != "" {
		c.add(key, "%s is read-only for %s (%s); choose one below %s, or name its folder in ReadWritePaths= of a drop-in: systemctl edit shadowd",
			path, service.Name, directive, instead)
	}
}

// canMake reports why a folder isn't there and can't be made either. Nil: it is, or can.
func canMake(dir string) error {
	for {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir):
			dir = filepath.Dir(dir)
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s isn't a folder", dir)
		default:
			if err := unix.Access(dir, unix.W_OK); err != nil && os.Geteuid() == 0 { // who else checks isn't who starts it
				return fmt.Errorf("%s: %w", dir, err)
			}
			return nil
		}
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
	c.writes("log.audit", path, "/var/log")
}

// programs looks at the programs that are run.
func (c *checker) programs() {
	if consent := c.cfg.Consent; consent.Prompter == "exec" {
		c.program("consent.exec", consent.Exec, true)
	}
	if sessions := c.cfg.Sessions; sessions.Resolver == "exec" {
		c.program("sessions.exec", sessions.Exec, false)
	}
	if c.cfg.Consent.Prompter == "deny" {
		c.refuses = `consent.prompter is "deny"`
	}
	path, err := os.Executable()
	if err == nil && os.Geteuid() == 0 {
		c.own(path)
	}
}

// program looks at the first word of a command. users is set if sessions' users run it.
func (c *checker) program(key string, command []string, users bool) {
	if len(command) == 0 {
		return
	}
	if err := fit(command[0], users); err != nil {
		c.add(key, "%s can't be run: %w", command[0], err)
	}
}

// own looks at shadowd itself, which sessions' users run to ask them and to read the picture.
func (c *checker) own(path string) {
	asks := c.cfg.Consent.Prompter == "x11" || c.cfg.Consent.Prompter == "notify"
	reads := c.cfg.Source.Kind == "x11" || c.cfg.Source.Kind == "auto"
	if info, err := os.Stat(path); (asks || reads) && err == nil && info.Mode()&0o001 == 0 {
		c.add("shadowd", "sessions' users can't execute %s (mode %04o), which asks them and reads the picture; do chmod 755 %[2]s", path, info.Mode().Perm())
	}
}

// source looks at what the picture needs.
func (c *checker) source(ctx context.Context) {
	kind := c.cfg.Source.Kind
	from, err := parts.Source(c.cfg)
	if err != nil {
		c.add("source", "%w", err)
		return
	}
	switch from := from.(type) {
	case *source.Dial:
		if err := from.Validate(); err != nil {
			c.add("source.dial", "%s", named.Text(err))
		}
	case *source.X11vnc:
		if c.x11vnc(kind) {
			if err := from.Check(ctx, nil); err != nil {
				c.add("source.kind", "%s", named.Text(err))
			}
		}
	case *source.Auto:
		c.x11vnc(kind)
	}
}

// x11vnc looks whether it is there and may be run, and reports whether it is worth being asked
// for its version.
func (c *checker) x11vnc(kind string) bool {
	if path := c.cfg.Source.X11VNC; path != "" {
		if _, err := exec.LookPath(path); err != nil {
			c.add("source.x11vnc", "%s can't be run: %w; correct the path", path, errors.Unwrap(err))
			return false
		}
		return true
	}
	path, err := exec.LookPath("x11vnc")
	if err != nil {
		if kind == "x11vnc" { // else it is there for what x11 can't show
			c.add("source.kind", `x11vnc isn't on PATH; install it, or use kind = "x11"`)
		}
		return false
	}
	if err := strict.Check(path); err != nil {
		c.add("source.kind", "the x11vnc on PATH isn't run: %w", err)
		return false
	}
	return true
}

// ports looks whether the address is one of this host's, and a port is free.
func (c *checker) ports(ctx context.Context) {
	if listen := c.cfg.Ports.Listen; listen != "" {
		ln, err := net.Listen("tcp", net.JoinHostPort(listen, "0"))
		if err != nil {
			c.add("ports.listen", "%s can't be listened on: %w; leave it out, or name an address that ip address shows", listen, errors.Unwrap(err))
			return
		}
		_ = ln.Close()
	}
	if free := unprivileged(); c.cfg.Ports.First < free && !c.unit.BindsLow() {
		c.add("ports.first", "%s may not listen on ports below %d; choose others, or have a drop-in say CapabilityBoundingSet=CAP_NET_BIND_SERVICE: systemctl edit shadowd", service.Name, free)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	ln, err := parts.Ports(c.cfg).Listen(ctx)
	if err != nil {
		c.add("ports.first", "no port of %d-%d is free: %s; shadowctl doctor says who uses them", c.cfg.Ports.First, c.cfg.Ports.Last, named.Text(err))
		return
	}
	_ = ln.Close()
}

// unprivileged is the first port that isn't root's alone.
func unprivileged() int {
	first := 1024
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
		_, _ = fmt.Sscan(string(text), &first)
	}
	return first
}

// sessions looks at the accounts of sessions that are written down.
func (c *checker) sessions(ctx context.Context) {
	if c.cfg.Sessions.Resolver != "static" {
		return
	}
	for _, s := range c.cfg.Sessions.Static {
		if _, err := account.Lookup(ctx, s.User); err != nil {
			c.add("sessions.static", "session %q: %s", s.ID, err)
		}
	}
}

// handedOver is where systemd puts credentials when it starts a service.
const handedOver = "/run/credentials/"

// fleet looks at what this host has to have in a fleet.
func (c *checker) fleet() {
	fleet := c.cfg.Fleet
	if len(fleet.Servers) == 0 {
		return
	}
	_, _, err := readCredentials(fleet.Credentials)
	if err != nil && !(errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(fleet.Credentials, handedOver)) {
		c.wrong = append(c.wrong, fmt.Errorf("%w; shadowctl enroll writes the file", err))
	}
	if err := canMake(fleet.Spool); err != nil {
		c.add("fleet.spool", "it can't be made: %w", err)
	}
	c.writes("fleet.spool", fleet.Spool, "/var/lib")
}

// requests looks at what every request needs.
func (c *checker) requests(ctx context.Context, path string) {
	settings, err := config.SettingsFrom(path)(ctx)
	if err != nil {
		c.add("settings", "they can't be read, and every request would be refused: %w", err)
	} else if !settings.EnableSessionShadowing {
		c.refuses = "EnableSessionShadowing is 0"
	}
	host := c.cfg.Viewer.Host
	if host == "" {
		if host, err = shadow.FQDN(ctx); err != nil {
			c.add("viewer.host", "this host doesn't know its name: %w; set viewer.host", err)
			return
		}
	} else {
		c.here(ctx, host)
	}
	if settings.ShadowingUseSSL {
		_, seen, err := parts.Pair(c.cfg, host, c.unit.HandsOver(parts.Passphrase))
		if err != nil {
			c.add("ShadowingUseSSL", "it is 1, and the certificate can't be used: %s", named.Text(err))
		}
		if !seen {
			c.unseen = "the key is encrypted, and systemd hands its passphrase to the service alone: whether that opens it, shadowctl doctor says when it runs"
		}
	}
}

// here looks whether viewer.host leads to this host. A name that can't be resolved may be one
// that administrators' DNS knows.
func (c *checker) here(ctx context.Context, host string) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	own, ownErr := net.InterfaceAddrs()
	if err != nil || ownErr != nil || len(addrs) == 0 {
		return
	}
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if a.IsLoopback() || slices.ContainsFunc(own, func(o net.Addr) bool {
			p, err := netip.ParsePrefix(o.String())
			return err == nil && p.Addr().Unmap().WithZone("") == a
		}) {
			return
		}
	}
	is := ""
	if at := addrs[0].Unmap().String(); at != host {
		is = " is " + at + ", which"
	}
	c.add("viewer.host", "%s%s isn't an address of this host, so that no viewer would get here; correct it, or leave it out for this host's name", host, is)
}
