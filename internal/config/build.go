package config

import (
	"path/filepath"
	"regexp"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/portpool"
	"vda.internal/shadow/sessions"
	"vda.internal/shadow/source"
	"vda.internal/shadow/tlsstore"
)

// NewResolver is the resolver that c describes.
func (c *Config) NewResolver() shadow.Resolver {
	switch c.Sessions.Resolver {
	case "static":
		return sessions.Static(c.Sessions.Static)
	case "exec":
		return &sessions.Exec{Command: c.Sessions.Exec}
	}
	return &sessions.Logind{}
}

// NewSource is the source that c describes.
func (c *Config) NewSource() (shadow.Source, error) {
	switch c.Source.Kind {
	case "dial":
		d, err := source.ParseDial(c.Source.Dial)
		if err != nil {
			return nil, err
		}
		d.Sessions = c.NewResolver()
		d.User, d.PasswordFile = c.Source.DialUser, c.Source.DialPasswordFile
		d.CAFile, d.ServerName = c.Source.DialCA, c.Source.DialName
		return d, nil
	case "x11vnc":
		return &source.X11vnc{Path: c.Source.X11VNC, State: c.state("x11vnc")}, nil
	case "auto":
		a := &source.Auto{X11vnc: source.X11vnc{Path: c.Source.X11VNC, State: c.state("x11vnc")}}
		a.X11.MaxFPS, a.X11.NoPointer = c.Source.MaxFPS, !c.Source.Pointer
		return a, nil
	}
	return &source.X11{MaxFPS: c.Source.MaxFPS, NoPointer: !c.Source.Pointer}, nil
}

// NewPurpose is what c demands of the reasons that administrators give.
func (c *Config) NewPurpose() policy.Purpose {
	p := policy.Purpose{Hint: c.Consent.PurposeHint}
	switch c.Consent.Purpose {
	case "required":
		p.Mode = policy.Required
	case "hidden":
		p.Mode = policy.Hidden
	}
	if c.Consent.PurposePattern != "" {
		p.Pattern = regexp.MustCompile(c.Consent.PurposePattern) // parse has checked it
	}
	return p
}

// NewPool is the range of ports that c describes.
func (c *Config) NewPool() *portpool.Pool {
	return &portpool.Pool{Host: c.Ports.Listen, First: c.Ports.First, Last: c.Ports.Last}
}

// NewStore is the certificate store that c describes.
func (c *Config) NewStore() *tlsstore.Store {
	return &tlsstore.Store{Dir: c.TLS.Dir, Strict: c.TLS.Strict}
}

// state is a folder beside the control socket for what the next daemon has to know.
func (c *Config) state(name string) string {
	return filepath.Join(filepath.Dir(c.Control.Socket), name)
}
