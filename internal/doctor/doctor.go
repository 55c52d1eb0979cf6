package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/config"
)

// A State is how a [Check] came out.
type State string

// The states.
const (
	OK   State = "ok"   // as it should be
	Note State = "note" // somebody should have a look
	Bad  State = "bad"  // a shadow doesn't work because of this
)

// A Check is one thing that was looked at.
type Check struct {
	Name   string `json:"check"`            // "settings", "ports", …
	State  State  `json:"state"`            //
	Found  string `json:"found"`            // what is there: lower case, without a full stop
	Remedy string `json:"remedy,omitempty"` // what to do about it, likewise

	// Unseen is set with a Note on what could not be looked at, or not be
	// understood, and may keep a shadow from working.
	Unseen bool `json:"unseen,omitempty"`

	// Command is what Remedy comes down to, for root's shell; empty: there is no such line.
	Command string `json:"command,omitempty"`
}

// A Report is all that was looked at.
type Report struct {
	Works  bool    `json:"works"` // no check is Bad, and none Unseen
	Checks []Check `json:"checks"`
}

// A Doctor examines this host. Its zero value looks at the usual
// configuration, and at all sessions.
type Doctor struct {
	Config  string      // path of the configuration file; empty: the usual one, which may be missing
	Socket  string      // the daemon's control socket; empty: as configured
	Session string      // that is asked about; empty: all that can be shadowed
	Found   func(Check) // called with each check as it comes out; nil ignores it

	host  host
	cfg   *config.Config
	bad   map[string]bool // names of checks that came out Bad
	dim   bool            // something is Unseen
	list  []Check
	taken []int // ports that the daemon has given to viewers
	tls   bool  // ShadowingUseSSL
	seal  bool  // this program can't read the pair, though the service may
	fqdn  string
	named []netip.Addr // the fqdn's
}

// A host is where a Doctor looks. Tests put others in; zero fields are this
// host's.
type host struct {
	root     string // where /proc and the rest is
	path     string // PATH for the host's tools
	fqdn     func(context.Context) (string, error)
	lookup   func(context.Context, string) ([]netip.Addr, error)
	own      func() ([]netip.Addr, error)
	bind     func(address string) error
	resolver shadow.Resolver // instead of the configured one
	via      func() []string // interfaces that viewers may come through
	xvfb     bool            // false: there is none
	uid      int             // that this program runs as
}

func thisHost() host {
	_, err := exec.LookPath("Xvfb")
	return host{
		root: "/",
		fqdn: shadow.FQDN,
		lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		},
		own:  ownAddresses,
		via:  interfaces,
		bind: bindOnce,
		xvfb: err == nil,
		uid:  os.Geteuid(),
	}
}

// Examine looks at everything, in the order in which a shadow needs it. It
// takes some seconds; every part of it has a time limit.
func (d *Doctor) Examine(ctx context.Context) *Report { return d.report(ctx, d.examine) }

// Host looks at the host alone, for a configuration that need not be written yet: at its
// name, the viewers' ports, and the firewall. No session, picture or daemon is looked at.
func (d *Doctor) Host(ctx context.Context, cfg *config.Config) *Report {
	return d.report(ctx, func(ctx context.Context) {
		d.cfg = cfg
		for _, check := range []func(context.Context){d.service, d.name, d.ports, d.firewall} {
			if ctx.Err() == nil {
				check(ctx)
			}
		}
	})
}

// report is what look finds.
func (d *Doctor) report(ctx context.Context, look func(context.Context)) *Report {
	if d.host.root == "" {
		d.host = thisHost()
	}
	d.list, d.bad, d.dim = nil, map[string]bool{}, false
	look(ctx)
	r := &Report{Works: len(d.bad) == 0 && !d.dim, Checks: d.list}
	if ctx.Err() != nil {
		r.Works = false
	}
	return r
}

func (d *Doctor) examine(ctx context.Context) {
	if d.host.uid != 0 {
		d.note("rights", fmt.Sprintf("this is uid %d, which can't see all that matters", d.host.uid), asRoot)
	}
	if !d.configuration() {
		d.service(ctx) // which says how the last start has ended
		d.console(ctx)
		return // all the rest depends on the configuration
	}
	for _, check := range []func(context.Context){
		d.kernel, d.settings, d.service, d.console, d.daemon, d.name, d.ports, d.firewall, d.certificate, d.picture, d.prompter, d.sessions, d.selfTest,
	} {
		if ctx.Err() != nil {
			return
		}
		check(ctx)
	}
}

func (d *Doctor) add(c Check) {
	d.list = append(d.list, c)
	if c.State == Bad {
		d.bad[c.Name] = true
	}
	d.dim = d.dim || c.Unseen
	if d.Found != nil {
		d.Found(c)
	}
}

func (d *Doctor) ok(name, found string) { d.add(Check{Name: name, State: OK, Found: found}) }
func (d *Doctor) note(name, found, remedy string) {
	d.add(Check{Name: name, State: Note, Found: found, Remedy: remedy})
}
func (d *Doctor) broken(name, found, remedy string) {
	d.add(Check{Name: name, State: Bad, Found: found, Remedy: remedy})
}
func (d *Doctor) unseen(name, found, remedy string) {
	d.add(Check{Name: name, State: Note, Found: found, Remedy: remedy, Unseen: true})
}

// asRoot is what to do about what only root may see.
const asRoot = "run this as root"

// failed is broken, for an error; but what this user alone may not see is no
// fault of the host's: it is unseen.
func (d *Doctor) failed(name string, err error, found, remedy string) {
	if d.host.uid != 0 && errors.Is(err, fs.ErrPermission) {
		d.unseen(name, found, asRoot)
		return
	}
	d.broken(name, found, remedy)
}

// file is a file of the host's.
func (d *Doctor) file(path string) string { return filepath.Join(d.host.root, path) }

// configuration reads the file.
func (d *Doctor) configuration() bool {
	cfg, err := config.Load(d.Config)
	path := d.configPath()
	defer d.leftovers("configuration", path)
	if d.host.uid != 0 && errors.Is(err, fs.ErrPermission) {
		d.broken("configuration", words(err), asRoot) // nothing is known then
		return false
	}
	if err != nil {
		d.broken("configuration", words(err), "correct the file; shadowd --check checks it, and shadowd --print-config explains each key")
		return false
	}
	d.cfg = cfg
	if _, err := os.Stat(path); isNotExist(err) {
		d.ok("configuration", fmt.Sprintf("there is no %s, so the defaults count", path))
	} else {
		d.ok("configuration", fmt.Sprintf("%s has no mistakes", path))
	}
	return true
}

func (d *Doctor) configPath() string { return cmp.Or(d.Config, config.DefaultPath) }

// settings reads the VDA's two values from where they count.
func (d *Doctor) settings(ctx context.Context) {
	from := ""
	if d.cfg.Settings == "ctxreg" {
		from = ", says the VDA's ctxreg"
	}
	s, err := config.SettingsFrom(d.Config)(ctx)
	d.tls = s.ShadowingUseSSL
	switch {
	case err != nil:
		d.failed("settings", err, fmt.Sprintf("they can't be read, so that every request is refused: %s", words(err)),
			`see that "ctxreg dump" works for root, or set settings = "file" in the configuration`)
	case !s.EnableSessionShadowing:
		d.broken("settings", "EnableSessionShadowing is 0"+from+": every request is refused",
			d.ctxreg()+` update -k "HKLM\Software\Citrix\VirtualDesktopAgent" -v "EnableSessionShadowing" -d 0x00000001`)
	case s.ShadowingUseSSL:
		d.ok("settings", "shadowing is on, and viewers connect with wss"+from)
	default:
		d.note("settings", "shadowing is on, and viewers connect with ws"+from+" (ShadowingUseSSL is 0)",
			"set ShadowingUseSSL to 1 if viewers' pages are loaded over https: such a page can't open ws")
	}
}

// ctxreg is the program that writes the settings.
func (d *Doctor) ctxreg() string {
	if d.cfg.Settings == "ctxreg" {
		return "ctxreg"
	}
	return "shadowctl ctxreg"
}

// daemon asks shadowd what it is doing.
func (d *Doctor) daemon(ctx context.Context) {
	client := api.Client{Socket: d.socket()}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	list, err := client.List(ctx)
	if err != nil && d.host.uid != 0 && errors.Is(unix.Access(d.socket(), unix.W_OK), fs.ErrPermission) {
		d.unseen("daemon", words(err), asRoot)
		return
	}
	if err != nil {
		d.broken("daemon", words(err), "start shadowd as root, as a service with: systemctl start shadowd; if it doesn't stay, its log says why: journalctl -u shadowd")
		return
	}
	d.taken = nil
	for _, s := range list {
		if s.Port != 0 {
			d.taken = append(d.taken, s.Port)
		}
	}
	found := fmt.Sprintf("shadowd answers on %s; shadows now: %d", d.socket(), len(list))
	health, err := client.Health(ctx)
	if err == nil && health.Audit != "" {
		d.broken("audit", "shadowd can't write it, and refuses every request: "+health.Audit, "make room where log.audit is; without log.audit it goes to shadowd's standard error, which something must read, as systemd's journal does; shadowd tries again by itself")
	}
	if err == nil && health.Config != "" && health.Config != d.cfg.Fingerprint() {
		d.unseen("daemon", fmt.Sprintf("%s; it was started with another configuration than %s is now, which is what is judged here", found, d.configPath()),
			"restart it: systemctl restart shadowd")
		return
	}
	d.ok("daemon", found)
}

func (d *Doctor) socket() string {
	if d.Socket != "" {
		return d.Socket
	}
	return d.cfg.Control.Socket
}

// certificate looks at the pair, if it is used.
func (d *Doctor) certificate(context.Context) {
	if !d.tls {
		return
	}
	d.judgePair()
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
