// Package settings reads shadowgate's configuration file, as strictly as shadowd's is read: an
// unknown key and a value that isn't allowed are errors which name the key, the line and what is
// allowed.
//
//	s, err := settings.Load("") // the usual file; the defaults if there is none
//
// The file is TOML; every key is optional. [Settings.TOML] prints what counts.
package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/host/strict"
	"vda.internal/shadow/internal/keyfile"
	"vda.internal/shadow/tlsstore"
)

// DefaultPath is the file that counts unless another one is named.
const DefaultPath = "/etc/xdl/shadowgate.toml"

// Administrators is the group of accounts that may do everything where there is no file.
const Administrators = "administrators"

// Settings are the content of the file, table by table. The comments in what
// [Settings.TOML] prints say what each key means and allows.
type Settings struct {
	Web      Web
	TLS      TLS
	Session  Session
	Accounts Accounts
	Header   Header
	OIDC     OIDC
	Tokens   Tokens
	Local    Local
	Bus      Bus
	Gateways Gateways
	State    State
	Activity Activity
	Log      Log
	Access   access.Table
}

// Web is where browsers connect.
type Web struct {
	Listen  string   // IP:PORT
	Origin  string   // "https://HOST[:PORT]" that browsers use; "": as they call it
	Proxies []string // addresses or networks of reverse proxies
	Metrics []string // addresses or networks that may read /metrics
	HSTS    bool     // browsers are told to come by https only, to every port of the host
}

// TLS is whether the gate speaks TLS itself, and where the certificate is.
type TLS struct {
	On     bool
	Dir    string
	Strict bool // as of tlsstore.Store
}

// Session is how long somebody stays signed in.
type Session struct {
	Idle        time.Duration
	Longest     time.Duration
	BindAddress bool   // a cookie is good only from the address that it was given to
	Keys        string // file with the keys that cookies are sealed with; "": cookie.keys in State.Dir
}

// Accounts is the sign-in by name and password.
type Accounts struct {
	File string // "": there is none
}

// Header is the sign-in by a proxy that says who comes.
type Header struct {
	Name      string   // of the header with the name; "": there is no such sign-in
	Groups    string   // of the header with the groups, separated by commas; "": none
	FullName  string   // of the header with the name for people; "": none
	From      []string // addresses or networks of the proxy
	SignedOut string   // address to go to after signing out; "": the sign-in page
}

// OIDC is the sign-in at an OpenID provider.
type OIDC struct {
	Issuer       string // URL; "": there is no such sign-in
	ClientID     string
	SecretFile   string // with the client's secret; "": a public client
	Label        string // of the button
	Scopes       []string
	NameClaim    string
	GroupsClaim  string
	CAFile       string // authorities for the provider's certificate; "": the system's
	ProviderExit bool   // signing out signs out at the provider, too
}

// Tokens are for scripts.
type Tokens struct {
	File string // "": there are none
}

// Local is the shadowd of this machine.
type Local struct {
	Socket  string
	Name    string // what the host is called in the gate; "": the machine's name
	Address string // where its granted ports are; "": the name that shadowd gives, which must be this machine's
	CAFile  string // authorities for its certificate; "": the system's
}

// Bus is the fleet's. Without Listen and Servers there is no fleet.
type Bus struct {
	Listen  string   // IP:PORT where hosts connect to the server in this gate; "": there is none
	Servers []string // NATS URLs of the organisation's own servers
	URLs    []string // NATS URLs that hosts are told; none: Servers, or Listen at the host of Web.Origin
	Views   string   // "https://HOST[:PORT]" of this gate, where hosts dial in with views that the gate can't reach; "": Web.Origin
	Name    string   // of this gate, for the hosts' audits; "": the machine's name
	Dir     string   // what the server keeps; "": bus in State.Dir
	Keys    string   // folder of the keys, which must be there; "": Dir, where they are made
	TLS     bool
	CAFile  string // authorities for the gate's and the bus's certificate, which hosts pin; "": the system's
	HostCA  string // authorities for hosts' granted ports; "": the system's

	Cluster  string   // IP:PORT for the servers of other gates; "": there are none
	Routes   []string // HOST:PORT of theirs
	Replicas int      // servers that keep each line of the audit
	AuditMiB int      // room for the hosts' audits
}

// Fleet reports whether there is one.
func (s *Settings) Fleet() bool { return s.Bus.Listen != "" || len(s.Bus.Servers) > 0 }

// BusKeys is where the bus's keys are.
func (s *Settings) BusKeys() string { return cmp.Or(s.Bus.Keys, s.BusDir()) }

// BusDir is what the bus's server keeps.
func (s *Settings) BusDir() string {
	if s.Bus.Dir != "" {
		return s.Bus.Dir
	}
	return filepath.Join(s.State.Dir, "bus")
}

// State is the folder for what the gate keeps.
type State struct {
	Dir string
}

// Activity is what the gate keeps of the audit.
type Activity struct {
	MiB int // 0: nothing is kept
}

// Log is where messages go.
type Log struct {
	Format string // "json" or "console"
	Level  string
}

// Default is what counts without a file: this machine's console, for accounts in the group
// [Administrators], on loopback.
func Default() *Settings {
	s := blank()
	s.Access = access.Table{{Groups: []string{Administrators}, May: access.Rights()}}
	return s
}

// blank is what a file begins with: it gives nobody any right.
func blank() *Settings {
	return &Settings{
		Web:      Web{Listen: "127.0.0.1:8880", Metrics: []string{"127.0.0.0/8", "::1"}},
		TLS:      TLS{Dir: tlsstore.DefaultDir},
		Session:  Session{Idle: 30 * time.Minute, Longest: 12 * time.Hour},
		Accounts: Accounts{File: "/etc/xdl/shadowgate.accounts"},
		OIDC:     OIDC{Label: "Single sign-on", Scopes: []string{"openid", "profile"}, NameClaim: "preferred_username", GroupsClaim: "groups", ProviderExit: true},
		Tokens:   Tokens{File: "/etc/xdl/shadowgate.tokens"},
		Local:    Local{Socket: api.DefaultSocket},
		Bus:      Bus{TLS: true, Replicas: 1, AuditMiB: 4096},
		Gateways: Gateways{FirstPort: 6201, LastPort: 6299, Valid: time.Minute},
		State:    State{Dir: "/var/lib/shadowgate"},
		Activity: Activity{MiB: 64},
		Log:      Log{Format: "json", Level: "info"},
	}
}

// Load reads the file at path. If path is empty it is DefaultPath, which may be missing; a file
// that was named may not. What is wrong with the file's content is a *[keyfile.Error]. A file that
// anybody but root and the gate's own user could change is refused.
func Load(path string) (*Settings, error) {
	name := path
	if name == "" {
		name = DefaultPath
	}
	data, err := keyfile.Load(name)
	if path == "" && errors.Is(err, fs.ErrNotExist) {
		s := Default()
		s.fromSystemd()
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	if name, err = filepath.Abs(name); err == nil {
		err = strict.Check(name)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// fromSystemd takes the folder that the unit gives.
func (s *Settings) fromSystemd() {
	if dir := os.Getenv("STATE_DIRECTORY"); filepath.IsAbs(dir) {
		s.State.Dir = dir
	}
}

// KeysFile is the file with the keys of cookies.
func (s *Settings) KeysFile() string {
	if s.Session.Keys != "" {
		return s.Session.Keys
	}
	return filepath.Join(s.State.Dir, "cookie.keys")
}

// Networks reads a list of addresses and networks. The settings have been checked, so an entry
// that is neither is a programmer's mistake.
func Networks(list []string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		p, err := network(s)
		if err != nil {
			panic(err)
		}
		all = append(all, p)
	}
	return all
}

// network reads an address or a network.
func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf(`%q isn't an address or a network such as "192.0.2.7" or "2001:db8::/48"`, s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits below its mask: did you mean %q?", s, p.Masked())
	}
	return p, nil
}
