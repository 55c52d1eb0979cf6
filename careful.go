package shadow

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/portpool"
	"vda.internal/shadow/tlsstore"
	"vda.internal/shadow/wsproxy"
)

// A Validator is a value of a [Config] that can tell whether it makes sense
// before it is used. New asks every value that is one.
type Validator interface {
	// Validate says what is wrong with it, or returns nil.
	Validate() error
}

// validate says what is wrong with c.
func (c *Config) validate() error {
	for _, needed := range []struct {
		name  string
		value any
		words string
	}{
		{"Sessions", c.Sessions, "no session could be found"},
		{"Prompter", c.Prompter, "nobody could be asked"},
		{"Source", c.Source, "there would be no picture"},
	} {
		if isNil(needed.value) {
			return fmt.Errorf("shadow: Config.%s is nil: %s", needed.name, needed.words)
		}
	}
	switch {
	case isNil(c.Announcer) && c.Rules.Notifies():
		return errors.New("shadow: Config.Announcer is nil, and a rule wants users to be told")
	case c.GroupNames == nil && c.Rules.NeedsUserGroups():
		return errors.New("shadow: Config.GroupNames is nil, and a rule looks at users' groups")
	}
	if c.Reconnect < 0 || c.PromptTimeout < 0 || c.ConnectTimeout < 0 {
		return errors.New("shadow: a timeout in Config is negative")
	}
	if err := checkHost(c.Host); err != nil {
		return err
	}
	for _, pattern := range c.OriginPatterns {
		if err := wsproxy.CheckOriginPattern(pattern); err != nil {
			return fmt.Errorf("shadow: Config.OriginPatterns: %w", err)
		}
	}
	for _, part := range []struct {
		name  string
		value any
	}{
		{"Sessions", c.Sessions}, {"Prompter", c.Prompter}, {"Source", c.Source},
		{"Banner", c.Banner}, {"Announcer", c.Announcer}, {"Ports", c.Ports}, {"Certificates", c.Certificates},
	} {
		if v, ok := part.value.(Validator); ok && !isNil(part.value) {
			if err := v.Validate(); err != nil {
				return fmt.Errorf("shadow: Config.%s: %w", part.name, err)
			}
		}
	}
	return nil
}

// isNil reports whether v is nil, or an interface around a nil pointer.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan:
		return r.IsNil()
	default:
		return false
	}
}

// checkHost says what is wrong with a host for URLs.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return nil
	}
	if i := strings.IndexFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/\:?#@[]"<>%`, r) }); i >= 0 {
		return fmt.Errorf("shadow: Config.Host is %q, and has a %q, which no host's name has; a port isn't part of it", host, host[i])
	}
	return nil
}

// complete fills in what is left out, and makes everything that is called from a request
// careful: a panic in it, or an answer that is none, is an error.
func (c *Config) complete() {
	if c.Ports == nil {
		c.Ports = &portpool.Pool{}
	}
	if isNil(c.Certificates) {
		c.Certificates = &tlsstore.Store{}
	}
	if c.Settings == nil {
		c.Settings = func(context.Context) (Settings, error) { return Settings{EnableSessionShadowing: true}, nil }
	}
	c.PromptTimeout = cmp.Or(c.PromptTimeout, 20*time.Second)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 30*time.Second)
	c.OriginPatterns = slices.Clone(c.OriginPatterns)

	resolver := carefulResolver{c.Sessions}
	if w, ok := c.Sessions.(SessionWaiter); ok {
		c.Sessions = carefulWaiter{resolver, w}
	} else {
		c.Sessions = resolver
	}
	c.Prompter = carefulPrompter{c.Prompter}
	if isNil(c.Banner) {
		c.Banner = nil
	} else {
		c.Banner = carefulBanner{c.Banner}
	}
	if !isNil(c.Announcer) {
		c.Announcer = carefulAnnouncer{c.Announcer}
	}
	if names := c.GroupNames; names != nil {
		c.GroupNames = func(ctx context.Context, gids []uint32) (all []string, err error) {
			defer caught("Config.GroupNames", &err)
			return names(ctx, gids)
		}
	}
	c.Rules = slices.Clone(c.Rules)
	c.Source = carefulSource{c.Source}
	c.Certificates = carefulCertificates{c.Certificates}
	settings := c.Settings
	c.Settings = func(ctx context.Context) (s Settings, err error) {
		defer caught("Config.Settings", &err)
		return settings(ctx)
	}
}

// caught makes an error of a panic in a part of the Config.
func caught(what string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("shadow: %s panicked: %v", what, r)
	}
}

type carefulResolver struct{ Resolver }

func (c carefulResolver) Session(ctx context.Context, id string) (s *Session, err error) {
	defer caught("the resolver", &err)
	if s, err = c.Resolver.Session(ctx, id); s == nil && err == nil {
		err = errors.New("shadow: the resolver returned neither a session nor an error")
	}
	return s, err
}

func (c carefulResolver) Sessions(ctx context.Context) (list []*Session, err error) {
	defer caught("the resolver", &err)
	if list, err = c.Resolver.Sessions(ctx); slices.Contains(list, nil) {
		list = slices.DeleteFunc(slices.Clone(list), func(s *Session) bool { return s == nil })
	}
	return list, err
}

type carefulWaiter struct {
	carefulResolver
	waiter SessionWaiter
}

func (c carefulWaiter) WaitEnd(ctx context.Context, id string) (err error) {
	defer caught("the resolver", &err)
	return c.waiter.WaitEnd(ctx, id)
}

type carefulPrompter struct{ consent.Prompter }

func (c carefulPrompter) Ask(ctx context.Context, r consent.Request) (d consent.Decision, err error) {
	defer caught("the prompter", &err)
	return c.Prompter.Ask(ctx, r)
}

type carefulAnnouncer struct{ consent.Announcer }

func (c carefulAnnouncer) Announce(ctx context.Context, r consent.Request) (d consent.Decision, err error) {
	defer caught("the announcer", &err)
	return c.Announcer.Announce(ctx, r)
}

type carefulBanner struct{ consent.Banner }

func (c carefulBanner) Show(ctx context.Context, r consent.Request, ended <-chan string, stopped func()) (err error) {
	defer caught("the banner", &err)
	return c.Banner.Show(ctx, r, ended, stopped)
}

type carefulSource struct{ Source }

func (c carefulSource) Check(ctx context.Context, s *Session) (err error) {
	defer caught("the source", &err)
	return c.Source.Check(ctx, s)
}

func (c carefulSource) Open(ctx context.Context, s *Session) (conn net.Conn, err error) {
	defer caught("the source", &err)
	if conn, err = c.Source.Open(ctx, s); err == nil && isNil(conn) {
		err = errors.New("shadow: the source returned neither a connection nor an error")
	}
	return conn, err
}

type carefulCertificates struct{ Certificates }

func (c carefulCertificates) TLSConfig(host string) (config *tls.Config, err error) {
	defer caught("the certificate store", &err)
	if config, err = c.Certificates.TLSConfig(host); config == nil && err == nil {
		err = errors.New("shadow: the certificate store returned neither a configuration nor an error")
	}
	return config, err
}
