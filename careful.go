package shadow

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/policy"
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
			return pkg.Errorf("Config.%s is nil: %s", needed.name, needed.words)
		}
	}
	switch {
	case isNil(c.Announcer) && c.Rules.Notifies():
		return pkg.New("Config.Announcer is nil, but a rule requires users to be informed")
	case c.GroupNames == nil && c.Rules.NeedsUserGroups():
		return pkg.New("Config.GroupNames is nil, and a rule looks at users' groups")
	}
	for i, rule := range c.Rules {
		if rule.Answer > policy.Allow {
			return pkg.Errorf("Config.Rules: rule %d has %v, which is no answer", i+1, rule.Answer)
		}
	}
	if i := c.Rules.WithoutYes(); i >= 0 && isNil(c.Banner) {
		return pkg.Errorf("Config.Banner is nil, but rule %d allows viewing without a Yes: users would not know that they are viewed", i+1)
	}
	if c.Rules.Notifies() && c.PromptTimeout > 0 && c.PromptTimeout < consent.MinNoticeTimeout {
		return pkg.Errorf("Config.PromptTimeout is %v, and a notice needs %v", c.PromptTimeout, consent.MinNoticeTimeout)
	}
	if c.Purpose.Mode > policy.Hidden {
		return pkg.Errorf("Config.Purpose.Mode is %d, which is none", c.Purpose.Mode)
	}
	if c.Reconnect < 0 || c.PromptTimeout < 0 || c.ConnectTimeout < 0 {
		return pkg.New("a timeout in Config is negative")
	}
	if err := checkHost(c.Host); err != nil {
		return err
	}
	for _, pattern := range c.OriginPatterns {
		if err := wsproxy.CheckOriginPattern(pattern); err != nil {
			return pkg.Errorf("Config.OriginPatterns: %w", err)
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
			if err := validated(v); err != nil {
				return pkg.Errorf("Config.%s: %w", part.name, err)
			}
		}
	}
	return nil
}

// validated is what v says of itself.
func validated(v Validator) (err error) {
	defer caught("Validate", &err)
	return v.Validate()
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
		return pkg.Errorf("Config.Host is %q, and has a %q, which no host's name has; a port isn't part of it", host, host[i])
	}
	return nil
}

// complete fills in what is left out, and makes everything that m calls for a request
// careful: a panic in it, no answer, or one that is none, is an error.
func (c *Config) complete(m *Manager) {
	if c.Ports == nil {
		c.Ports = &portpool.Pool{}
	}
	if isNil(c.Certificates) {
		c.Certificates = &tlsstore.Store{}
	}
	if c.Settings == nil {
		c.Settings = func(context.Context) (Settings, error) { return Settings{EnableSessionShadowing: true}, nil }
	}
	c.PromptTimeout = cmp.Or(c.PromptTimeout, consent.DefaultTimeout)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, DefaultConnectTimeout)
	c.OriginPatterns = slices.Clone(c.OriginPatterns)

	resolver := carefulResolver{c.Sessions, m}
	switch w := c.Sessions.(type) {
	case SessionWatcher:
		c.Sessions = carefulWatcher{carefulWaiter{resolver, w}, w}
	case SessionWaiter:
		c.Sessions = carefulWaiter{resolver, w}
	default:
		c.Sessions = resolver
	}
	c.Prompter = carefulPrompter{c.Prompter}
	if isNil(c.Banner) { // of one that isn't, consent.Showing catches what it does wrong
		c.Banner = nil
	}
	if !isNil(c.Announcer) {
		c.Announcer = carefulAnnouncer{c.Announcer}
	}
	if names := c.GroupNames; names != nil {
		c.GroupNames = func(ctx context.Context, gids []uint32) ([]string, error) {
			return ask(ctx, m, part{"Config.GroupNames", ""}, func(ctx context.Context) ([]string, error) { return names(ctx, gids) }, nil)
		}
	}
	if find := c.Accounts; find != nil {
		c.Accounts = func(ctx context.Context, name string) (account, full string, err error) {
			type entry struct{ account, full string }
			e, err := ask(ctx, m, part{"Config.Accounts", name}, func(ctx context.Context) (e entry, err error) {
				e.account, e.full, err = find(ctx, name)
				return e, err
			}, nil)
			return e.account, e.full, err
		}
	}
	c.Rules = slices.Clone(c.Rules)
	c.Source = carefulSource{c.Source, m}
	c.Certificates = carefulCertificates{c.Certificates, m}
	settings := c.Settings
	c.Settings = func(ctx context.Context) (s Settings, err error) {
		err = apart("Config.Settings", func() (err error) { s, err = settings(ctx); return err })
		return s, err
	}
}

// caught makes an error of a panic in a part of the Config.
func caught(what string, err *error) {
	if r := recover(); r != nil {
		*err = pkg.Errorf("%s panicked: %v", what, r)
	}
}

// apart calls f, a part of the Config, on a goroutine of its own: that it panics, or ends its goroutine, is
// an error and stops nothing else.
func apart(what string, f func() error) error {
	err := pkg.Errorf("%s ended its goroutine", what)
	<-done(func() {
		defer caught(what, &err)
		err = f()
	})
	return err
}

type carefulResolver struct {
	Resolver
	m *Manager
}

func (c carefulResolver) Session(ctx context.Context, id string) (*Session, error) {
	s, err := ask(ctx, c.m, part{"the resolver", id}, func(ctx context.Context) (*Session, error) { return c.Resolver.Session(ctx, id) }, nil)
	if s == nil && err == nil {
		err = pkg.New("the resolver returned neither a session nor an error")
	}
	return s, err
}

func (c carefulResolver) Sessions(ctx context.Context) ([]*Session, error) {
	list, err := ask(ctx, c.m, part{"the resolver", ""}, c.Resolver.Sessions, nil)
	if slices.Contains(list, nil) {
		list = slices.DeleteFunc(slices.Clone(list), func(s *Session) bool { return s == nil })
	}
	return list, err
}

type carefulWaiter struct {
	carefulResolver
	waiter SessionWaiter
}

func (c carefulWaiter) WaitEnd(ctx context.Context, id string) error {
	return apart("the resolver", func() error { return c.waiter.WaitEnd(ctx, id) })
}

type carefulWatcher struct {
	carefulWaiter
	watcher SessionWatcher
}

func (c carefulWatcher) WaitEndOf(ctx context.Context, s *Session) error {
	return apart("the resolver", func() error { return c.watcher.WaitEndOf(ctx, s) })
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

type carefulSource struct {
	Source
	m *Manager
}

func (c carefulSource) Check(ctx context.Context, s *Session) error {
	_, err := ask(ctx, c.m, ofUser("the source", s), func(ctx context.Context) (struct{}, error) { return struct{}{}, c.Source.Check(ctx, s) }, nil)
	return err
}

func (c carefulSource) Open(ctx context.Context, s *Session) (net.Conn, error) {
	conn, err := ask(ctx, c.m, ofUser("the source", s), func(ctx context.Context) (net.Conn, error) { return c.Source.Open(ctx, s) }, closeLate)
	if err == nil && isNil(conn) {
		err = pkg.New("the source returned neither a connection nor an error")
	}
	return conn, err
}

// closeLate closes what a source has opened too late.
func closeLate(conn net.Conn) {
	if !isNil(conn) {
		guarded(func() { _ = conn.Close() })
	}
}

type carefulCertificates struct {
	Certificates
	m *Manager
}

func (c carefulCertificates) TLSConfig(host string) (*tls.Config, error) {
	config, err := ask(c.m.base, c.m, part{"the certificate store", host}, func(context.Context) (*tls.Config, error) { return c.Certificates.TLSConfig(host) }, nil)
	if config == nil && err == nil {
		err = pkg.New("the certificate store returned neither a configuration nor an error")
	}
	return config, err
}
