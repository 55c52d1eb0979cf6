// Package parts makes the parts of the product that a configuration describes, for the daemon that runs
// them and for those that look at them: shadowctl doctor and setup. What opens windows is made in cmd/shadowd.
package parts

import (
	"path/filepath"
	"regexp"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/portpool"
	"vda.internal/shadow/sessions"
	"vda.internal/shadow/source"
	"vda.internal/shadow/tlsstore"
)

// Resolver is the resolver that c describes.
func Resolver(c *config.Config) shadow.Resolver {
	switch c.Sessions.Resolver {
	case "static":
		return sessions.Static(c.Sessions.Static)
	case "exec":
		return &sessions.Exec{Command: c.Sessions.Exec}
	}
	return &sessions.Logind{}
}

// Source is the source that c describes.
func Source(c *config.Config) (shadow.Source, error) {
	switch c.Source.Kind {
	case "dial":
		d, err := source.ParseDial(c.Source.Dial)
		if err != nil {
			return nil, err
		}
		d.Sessions = Resolver(c)
		d.User, d.PasswordFile = c.Source.DialUser, c.Source.DialPasswordFile
		d.CAFile, d.ServerName = c.Source.DialCA, c.Source.DialName
		return d, nil
	case "x11vnc":
		return &source.X11vnc{Path: c.Source.X11VNC, State: state(c, "x11vnc")}, nil
	case "auto":
		a := &source.Auto{X11vnc: source.X11vnc{Path: c.Source.X11VNC, State: state(c, "x11vnc")}}
		a.X11.MaxFPS, a.X11.NoPointer = c.Source.MaxFPS, !c.Source.Pointer
		return a, nil
	}
	return &source.X11{MaxFPS: c.Source.MaxFPS, NoPointer: !c.Source.Pointer}, nil
}

// Purpose is what c demands of the reasons that administrators give.
func Purpose(c *config.Config) policy.Purpose {
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

// Ports is the range of ports that c describes.
func Ports(c *config.Config) *portpool.Pool {
	return &portpool.Pool{Host: c.Ports.Listen, First: c.Ports.First, Last: c.Ports.Last}
}

// Store is the certificate store that c describes.
func Store(c *config.Config) *tlsstore.Store {
	return &tlsstore.Store{Dir: c.TLS.Dir, Strict: c.TLS.Strict}
}

// state is a folder beside the control socket for what the next daemon has to know.
func state(c *config.Config, name string) string {
	return filepath.Join(filepath.Dir(c.Control.Socket), name)
}
