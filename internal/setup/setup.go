package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/ctxreg"
	"vda.internal/shadow/internal/doctor"
	"vda.internal/shadow/internal/host/account"
	"vda.internal/shadow/internal/host/service"
	"vda.internal/shadow/internal/keyfile"
	"vda.internal/shadow/internal/parts"
)

// DefaultGroup is the group that is proposed; the package makes it.
const DefaultGroup = "shadow-admins"

// The keys that are proposed.
const (
	hostKey  = "viewer.host"
	groupKey = "control.group"
	sslKey   = "ShadowingUseSSL"
)

// A Host is what is prepared. The zero Host is this one, with the usual configuration file.
type Host struct {
	Config string // path of the configuration file, which may be missing; empty: the usual one
	Name   string // that viewers use; empty: as configured, else this host's own

	FQDN    func(context.Context) (string, error)                 // nil: this host's
	Examine func(context.Context, *config.Config) *doctor.Report  // nil: [doctor.Doctor.Host]
	GroupID func(context.Context, string) (gid uint32, err error) // nil: this host's
	Now     func() time.Time                                      // nil: time.Now
}

// A State is what was found of a host.
type State struct {
	Path   string         // of the configuration file
	New    bool           // there is no such file yet
	Config *config.Config // what counts now
	Set    map[string]bool
	Name   string         // of the host for viewers; empty: not known
	Report *doctor.Report // of the host: its service, name, ports and firewall

	host   Host
	handed bool // systemd hands the key's passphrase to the service
}

// Answers are what an administrator decides. What is in the file already isn't changed by them.
type Answers struct {
	Name        string // viewer.host; empty: not written
	Group       string // control.group; empty: not written
	Certificate Choice // if there is none
}

// Look looks at the host. A configuration file that has errors is one.
func (h Host) Look(ctx context.Context) (*State, error) {
	if h.FQDN == nil {
		h.FQDN = shadow.FQDN
	}
	if h.Examine == nil {
		h.Examine = func(ctx context.Context, cfg *config.Config) *doctor.Report { return new(doctor.Doctor).Host(ctx, cfg) }
	}
	if h.GroupID == nil {
		h.GroupID = account.GroupID
	}
	if h.Now == nil {
		h.Now = time.Now
	}
	s := &State{Path: cmp.Or(h.Config, config.DefaultPath), host: h}
	var err error
	if s.Set, err = config.Has(h.Config, hostKey, groupKey, sslKey); err != nil {
		return nil, err
	}
	s.Config, err = config.Load(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		s.Config, s.New, err = config.Default(), true, nil
	}
	if err != nil {
		return nil, err
	}
	own, err := h.FQDN(ctx)
	if err != nil || CheckName(own) != nil {
		own = "" // the report says so; what DNS answers may be anything, and would be in commands
	}
	s.Name = cmp.Or(s.Config.Viewer.Host, h.Name, own)
	looked := *s.Config
	looked.Viewer.Host = s.Name
	s.Report = h.Examine(ctx, &looked)
	s.handed = service.Look(ctx).HandsOver(parts.Passphrase)
	return s, ctx.Err()
}

// Pair looks at the certificate, for a host that viewers know as name.
func (s *State) Pair(name string) Pair {
	p, seen, err := parts.Pair(s.Config, name, s.handed)
	if !seen {
		return Pair{State: PairFine, Found: "the key is encrypted, and systemd hands its passphrase to shadowd alone: whether that opens it, shadowd's log says"}
	}
	return judged(s.Config.TLS.Dir, p, err)
}

// Proposal is what setup would do without being told anything.
func (s *State) Proposal(ctx context.Context) Answers {
	a := Answers{Certificate: Request}
	if s.Set[sslKey] && !s.Config.ShadowingUseSSL {
		a.Certificate = None // somebody wants ws
	}
	if !s.Set[hostKey] && isFull(s.Name) {
		a.Name = s.Name
	}
	if _, err := s.host.GroupID(ctx, DefaultGroup); !s.Set[groupKey] && err == nil {
		a.Group = DefaultGroup
	}
	return a
}

// isFull reports whether a certificate for name makes sense: it has a domain, or is an address.
func isFull(name string) bool { return strings.Contains(name, ".") || net.ParseIP(name) != nil }

// CheckName says what is wrong with a name for viewer.host; nil: nothing.
func CheckName(name string) error {
	if name == "" {
		return errors.New("a name is missing")
	}
	return keyfile.CheckName(name)
}

// CheckGroup says what is wrong with a group for control.group, with which shadowd wouldn't
// start; nil: nothing.
func (s *State) CheckGroup(ctx context.Context, name string) error {
	if _, err := s.host.GroupID(ctx, name); errors.Is(err, account.ErrUnknown) {
		return fmt.Errorf("there is no group %q: groupadd --system %s makes it", name, name)
	} else if err != nil {
		return err
	}
	return nil
}

// Plan is what comes of the answers. It is an error if they aren't allowed, or differ from what
// is in the file.
func (s *State) Plan(ctx context.Context, a Answers) (*Plan, error) {
	p := &Plan{Path: s.Path, pairDir: s.Config.TLS.Dir, now: s.host.Now}
	if a.Name != "" {
		if err := CheckName(a.Name); err != nil {
			return nil, err
		}
		if err := s.propose(p, hostKey, a.Name, s.Config.Viewer.Host); err != nil {
			return nil, err
		}
	}
	if a.Group != "" {
		if err := s.CheckGroup(ctx, a.Group); err != nil {
			return nil, err
		}
		if err := s.propose(p, groupKey, a.Group, s.Config.Control.Group); err != nil {
			return nil, err
		}
	}
	name := cmp.Or(s.Config.Viewer.Host, a.Name, s.Name)
	s.certificate(ctx, p, name, a.Certificate)
	var err error
	if p.Before, p.After, err = config.Propose(s.Path, p.Lines); err != nil {
		return nil, err
	}
	s.commands(p)
	return p, nil
}

// propose adds a key with a text, unless it is there.
func (s *State) propose(p *Plan, key, value, there string) error {
	if !s.Set[key] {
		p.Lines = append(p.Lines, config.Line{Name: key, Value: keyfile.Quote(value)})
		return nil
	}
	if value != there {
		return fmt.Errorf("%s is %q in %s, and setup changes no key that is there; change it there, or leave %q out", key, there, s.Path, value)
	}
	return nil
}

// certificate plans what is to be done about the pair, and about ShadowingUseSSL.
func (s *State) certificate(ctx context.Context, p *Plan, name string, choice Choice) {
	switch found := s.Pair(name); {
	case name == "":
		return // without one there is no certificate
	case found.State == PairFine:
		s.useSSL(ctx, p)
	case found.State == PairMissing && choice == SelfSigned:
		p.pairName = name
		s.useSSL(ctx, p)
	case found.State == PairMissing && choice == Request && !isFull(name):
		p.Steps = append(p.Steps, Step{"Say by which full name viewers reach this host, for its certificate:", s.command() + " --host NAME.DOMAIN"})
	case found.State == PairMissing && choice == Request:
		dir := s.Config.TLS.Dir
		p.Steps = append(p.Steps,
			Step{"Make a key, and the request for the certificate:", requestCommand(dir, name)},
			Step{fmt.Sprintf("Have %s/request.csr signed by the site's authority, put the certificate into %[1]s/%s, and run this again:", dir, certName), s.command()})
	}
}

// command is how setup is run again.
func (s *State) command() string {
	return "shadowctl setup" + s.flag()
}

// flag names the file for the commands, if it isn't the usual one.
func (s *State) flag() string {
	if s.Path == config.DefaultPath {
		return ""
	}
	return " --config " + quote(s.Path)
}

// useSSL plans that viewers connect with wss, unless somebody has decided that already.
func (s *State) useSSL(ctx context.Context, p *Plan) {
	if s.Config.Settings != "ctxreg" {
		if !s.Set[sslKey] {
			p.Lines = slices.Insert(p.Lines, 0, config.Line{Name: sslKey, Value: "1"})
		}
		return
	}
	if now, err := config.SettingsFrom(s.Path)(ctx); err == nil && !now.ShadowingUseSSL {
		p.Steps = append(p.Steps, Step{"Let viewers connect with wss:", fmt.Sprintf(`%s create -k "%s" -t %s -v %s -d 0x00000001 --force`,
			cmp.Or(s.Config.Ctxreg, ctxreg.DefaultPath), ctxreg.Key, ctxreg.Type, sslKey)})
	}
}

// commands adds what the administrator has to run besides.
func (s *State) commands(p *Plan) {
	first, isService, runs := p.Steps, false, false
	p.Steps = nil
	for _, c := range s.Report.Checks {
		isService = isService || c.Name == "service"
		runs = runs || c.Name == "service" && c.State == doctor.OK
		step := Step{"Let viewers pass the firewall:", c.Command}
		if c.State == doctor.Bad && c.Command != "" && !slices.Contains(p.Steps, step) {
			p.Steps = append(p.Steps, step)
		}
	}
	p.Steps = append(p.Steps, first...)
	switch {
	case isService && (p.Changes() || !runs):
		p.Steps = append(p.Steps, Step{"Start shadowd with it, now and at each boot:", "systemctl enable shadowd && systemctl restart shadowd"})
	case !isService && p.Changes():
		p.Steps = append(p.Steps, Step{"Start shadowd with it, as root:", "shadowd" + s.flag()})
	}
	p.Steps = append(p.Steps, Step{"See whether a shadow would work:", "shadowctl doctor" + s.flag()})
}

// A Step is what is left for the administrator.
type Step struct {
	What    string `json:"what"`    // a sentence that ends with a colon
	Command string `json:"command"` // for root's shell; may have several lines
}

// A Plan is what will be written, and what is left to do.
type Plan struct {
	Path          string        // of the configuration file
	Lines         []config.Line // that it lacks
	Before, After []byte        // the file; Before is nil if there is none
	Steps         []Step        // for the administrator, in order

	pairDir, pairName string // of the pair to be made; no name: none
	now               func() time.Time
}

// Changes reports whether there is anything to be written.
func (p *Plan) Changes() bool { return len(p.Lines) > 0 || p.pairName != "" }

// Diff is the change of the file as diff -u writes it; empty if there is none.
func (p *Plan) Diff() string { return unified(p.Path, p.Before, p.After) }

// Files are those that are made besides the configuration.
func (p *Plan) Files() []string {
	if p.pairName == "" {
		return nil
	}
	return []string{p.pairDir + "/" + certName, p.pairDir + "/" + keyName}
}

// Write writes it all: the pair first, which the configuration names. Each file is written in
// one step; what somebody else has written meanwhile stays.
func (p *Plan) Write() error {
	if p.pairName != "" {
		if err := makePair(p.pairDir, p.pairName, p.now()); err != nil {
			if errors.Is(err, os.ErrExist) {
				return fmt.Errorf("%w; somebody else has made it meanwhile", err)
			}
			return err
		}
	}
	return config.Add(p.Path, p.Lines)
}
