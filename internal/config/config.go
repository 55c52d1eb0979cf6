// Package config reads shadowd's configuration file, strictly: an unknown key
// and a value that isn't allowed are errors which name the key, the line and
// what is allowed, and all of a file's errors are told at once.
//
//	cfg, err := config.Load("") // the usual file; the defaults if there is none
//	if err != nil {
//		return err
//	}
//	fmt.Println(cfg.Ports.First, cfg.Ports.Last)
//
// The file is TOML; every key is optional. [Config.TOML] prints what counts.
package config

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/ctxreg"
	"vda.internal/shadow/internal/keyfile"
	"vda.internal/shadow/portpool"
	"vda.internal/shadow/sessions"
	"vda.internal/shadow/tlsstore"
)

// DefaultPath is the file that counts unless another one is named.
const DefaultPath = "/etc/xdl/shadowing.toml"

// A Config is the content of the file, table by table. The comments in what
// [Config.TOML] prints say what each key means and allows.
type Config struct {
	EnableSessionShadowing bool
	ShadowingUseSSL        bool
	Settings               string // "file" or "ctxreg"
	Ctxreg                 string // path of the VDA's program; "": ctxreg.DefaultPath

	Ports    Ports
	Viewer   Viewer
	Consent  Consent
	Source   Source
	TLS      TLS
	Sessions Sessions
	Control  Control
	Fleet    Fleet
	Log      Log
}

// Ports is where viewers connect.
type Ports struct {
	Listen string // IP address; "": all addresses, IPv4 and IPv6
	First  int
	Last   int // not below First
}

// Viewer is what is asked of a viewer.
type Viewer struct {
	Host           string // FQDN in the URL; "": the system's
	Token          string // "required" or "optional"
	ConnectTimeout time.Duration
	Reconnect      time.Duration // how long a viewer that was cut off may return; 0: not at all
	Origins        []string      // patterns as of path.Match for host or host:port
	Page           bool          // the granted port also serves a page that shows the view
}

// Consent is how the user is asked.
type Consent struct {
	Prompter string // "x11", "notify", "exec", "deny" or "allow"
	Timeout  time.Duration
	Exec     []string // program and arguments, if Prompter is "exec"
	Banner   bool     // the user sees who is viewing, and can stop it
	Bell     bool     // the display's bell sounds for the question
	Language string   // locale of the words; "": the session's

	Rules policy.Rules

	Pause          bool   // the banner has a Pause button
	Purpose        string // "required", "optional" or "hidden"
	PurposePattern string // regular expression that a reason must match; "": any reason
	PurposeHint    string // what an administrator is told whose reason doesn't; "": the pattern

	Texts consent.Texts
}

// Source is where the picture comes from.
type Source struct {
	Kind    string // "x11", "x11vnc", "auto" or "dial"
	MaxFPS  int    // looks at the screen a second at most, if Kind is "x11" or "auto"
	Pointer bool   // the user's pointer is part of the picture, if Kind is "x11" or "auto"
	X11VNC  string // path of the program; "": found on PATH
	Dial    string // "tcp:HOST:PORT" or "unix:/PATH", if Kind is "dial"

	DialUser         string // of the dialled server; "": none
	DialPasswordFile string // with its password; "": none
	DialCA           string // file of authorities for its certificate; "": the system's
	DialName         string // in its certificate; "": the host of Dial
}

// TLS is where the certificate is.
type TLS struct {
	Dir    string
	Strict bool // as of tlsstore.Store
}

// Sessions is how sessions are found.
type Sessions struct {
	Resolver string                   // "logind", "static" or "exec"
	Exec     []string                 // program and arguments, if Resolver is "exec"
	Static   []sessions.StaticSession // the sessions, if Resolver is "static"
}

// Control is the control API.
type Control struct {
	Socket string
	Group  string // besides root; "": nobody
}

// Fleet is the bus that this host is on.
type Fleet struct {
	Servers     []string // NATS URLs; none: this host is in no fleet
	Credentials string   // file that shadowctl enroll has written
	Views       string   // "dial-in": gates dial granted ports; "dial-out": this host dials gates, and nothing listens for them
	Audit       string   // "required" or "optional": whether requests are refused while the spool is full
	Spool       string   // directory of audit lines that aren't delivered yet
	SpoolMiB    int
	SpoolAge    time.Duration // how long the oldest may wait before the spool counts as full
}

// Log is where messages and the audit go.
type Log struct {
	Format string // "json" or "console"
	Level  string // "trace", "debug", "info", "warn" or "error"
	Audit  string // file for the audit lines; "": the log
}

// DefaultSpool is where the audit waits for the fleet.
const DefaultSpool = "/var/lib/shadowd/spool"

// Default is what counts without a file.
func Default() *Config {
	return &Config{
		EnableSessionShadowing: true,
		Settings:               "file",
		Ports:                  Ports{First: portpool.DefaultFirst, Last: portpool.DefaultLast},
		Viewer:                 Viewer{Token: "required", ConnectTimeout: shadow.DefaultConnectTimeout, Reconnect: 30 * time.Second, Page: true},
		Consent:                Consent{Prompter: "x11", Timeout: consent.DefaultTimeout, Banner: true, Pause: true, Purpose: "optional"},
		Source:                 Source{Kind: "x11", MaxFPS: 30, Pointer: true},
		TLS:                    TLS{Dir: tlsstore.DefaultDir},
		Sessions:               Sessions{Resolver: "logind"},
		Control:                Control{Socket: api.DefaultSocket},
		Fleet:                  Fleet{Views: "dial-in", Audit: "required", Spool: DefaultSpool, SpoolMiB: 64, SpoolAge: 30 * 24 * time.Hour},
		Log:                    Log{Format: "json", Level: "info"},
	}
}

// Load reads the file at path. If path is empty it is DefaultPath, which may
// be missing; a file that was named may not. What is wrong with the file's
// content is an *[Error]. Root refuses a file, and a program that it names, that
// anybody else could change.
func Load(path string) (*Config, error) { return new(reader).load(path) }

// A reader loads one file again and again. It parses only what it hasn't read the last time; whose the file is it looks
// at each time.
type reader struct {
	mu   sync.Mutex
	data []byte  // that was read last
	last *Config // what it says; nil: it was never good
}

func (r *reader) load(path string) (*Config, error) {
	name := path
	if name == "" {
		name = DefaultPath
	}
	data, err := keyfile.Load(name)
	if path == "" && errors.Is(err, fs.ErrNotExist) {
		return Default(), nil
	}
	if err != nil {
		return nil, err
	}
	c, err := r.parse(name, data)
	if err == nil && os.Geteuid() == 0 {
		err = c.judge(name)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (r *reader) parse(name string, data []byte) (*Config, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil && bytes.Equal(data, r.data) {
		return r.last, nil
	}
	c, err := parse(name, data)
	if err == nil {
		r.data, r.last = data, c
	}
	return c, err
}

// SettingsFrom returns a function that reads the VDA's two values each time it
// is called: for shadow.Config.Settings. They come from the file at path or, if
// that says so, from the VDA's own program. It is as strict about the rest of
// the file as Load, so that a broken file refuses requests rather than counting
// in part. The function is safe for concurrent use, and costs little while the file stays the same.
func SettingsFrom(path string) func(context.Context) (shadow.Settings, error) {
	var r reader
	return func(ctx context.Context) (shadow.Settings, error) {
		c, err := r.load(path)
		if err != nil {
			return shadow.Settings{}, err
		}
		if c.Settings != "ctxreg" {
			return shadow.Settings{EnableSessionShadowing: c.EnableSessionShadowing, ShadowingUseSSL: c.ShadowingUseSSL}, nil
		}
		values, err := ctxreg.Program{Path: c.Ctxreg}.Read(ctx)
		if err != nil {
			return shadow.Settings{}, err
		}
		return shadow.Settings{
			EnableSessionShadowing: values[ctxreg.EnableSessionShadowing] == 1,
			ShadowingUseSSL:        values[ctxreg.ShadowingUseSSL] == 1,
		}, nil
	}
}
