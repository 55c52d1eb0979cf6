package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"

	"github.com/rs/zerolog"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/desktop"
	"vda.internal/shadow/consent/runas"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/host/account"
	"vda.internal/shadow/internal/parts"
	"vda.internal/shadow/internal/viewer"
	"vda.internal/shadow/source"
	"vda.internal/shadow/tlsstore"
)

// engine is the Manager that the configuration describes.
func engine(cfg *config.Config, path string, store *tlsstore.Store, logger zerolog.Logger, audit func(shadow.Event) error) (*shadow.Manager, error) {
	from, err := parts.Source(cfg)
	if err != nil {
		return nil, err
	}
	sweep(from, logger)
	reportLeft(from, logger)
	return shadow.New(shadow.Config{
		Sessions:       parts.Resolver(cfg),
		Prompter:       prompter(cfg, logger),
		Banner:         banner(cfg),
		Source:         from,
		Ports:          parts.Ports(cfg),
		Certificates:   store,
		Settings:       config.SettingsFrom(path),
		Rules:          cfg.Consent.Rules,
		Announcer:      window(cfg),
		GroupNames:     account.GroupNames,
		Accounts:       account.FullName,
		Purpose:        parts.Purpose(cfg),
		Language:       cfg.Consent.Language,
		Host:           cfg.Viewer.Host,
		PromptTimeout:  cfg.Consent.Timeout,
		ConnectTimeout: cfg.Viewer.ConnectTimeout,
		Pause:          cfg.Consent.Pause,
		Reconnect:      cfg.Viewer.Reconnect,
		OriginPatterns: cfg.Viewer.Origins,
		TokenOptional:  cfg.Viewer.Token == "optional",
		Page:           page(cfg),
		Logger:         logger,
		Audit:          audit,
	})
}

// terms are what callers are told of the configuration.
func terms(cfg *config.Config) *api.Terms {
	reconnect := cfg.Viewer.Reconnect.Seconds()
	return &api.Terms{Timeout: cfg.Consent.Timeout.Seconds(), Reconnect: &reconnect, Purpose: cfg.Consent.Purpose, Prompter: cfg.Consent.Prompter}
}

// sweep removes what the sources of a daemon have left that was killed.
func sweep(from shadow.Source, logger zerolog.Logger) {
	s, ok := from.(interface{ Sweep() (int, error) })
	if !ok {
		return
	}
	n, err := s.Sweep()
	if err != nil {
		logger.Warn().Err(err).Msg("shared memory that an earlier daemon's x11vnc has left can't be removed")
	}
	if n > 0 {
		logger.Info().Int("segments", n).Msg("removed shared memory that an earlier daemon's x11vnc had left")
	}
}

// reportLeft logs what the sources of this daemon leave.
func reportLeft(from shadow.Source, logger zerolog.Logger) {
	report := func(err error) {
		logger.Warn().Err(err).Msg("shared memory that x11vnc has left can't be removed; a later start of shadowd tries again")
	}
	switch s := from.(type) {
	case *source.X11vnc:
		s.OnLeft = report
	case *source.Auto:
		s.X11vnc.OnLeft = report
	}
}

// page is what a granted port shows to a browser, or nil.
func page(cfg *config.Config) http.Handler {
	if !cfg.Viewer.Page {
		return nil
	}
	return viewer.Page(cfg.Viewer.Reconnect)
}

// certificates is the store. What is to be warned of in a pair is told when the
// pair is used first, at the start or later. A changed pair that can't be used
// is told once; the one in use stays for viewers who were granted it, and new
// requests are refused.
func certificates(cfg *config.Config, logger zerolog.Logger) *tlsstore.Store {
	store := parts.Store(cfg)
	warnings := &warnings{logger: logger}
	store.OnLoad = warnings.tell
	store.OnReload = func(pair *tlsstore.Pair, err error) {
		if err != nil {
			logger.Error().Err(err).Msg("the changed certificate can't be used: viewers who were granted a view keep the one before, and new requests are refused with tls_config")
			return
		}
		logger.Info().Str("certificate", pair.CertFile).Msg("the changed certificate is in use")
		warnings.tell(pair)
	}
	return store
}

// warnings logs what is found of pairs: once for each pair, unless there is
// another one between or something else is found.
type warnings struct {
	logger zerolog.Logger

	mu   sync.Mutex
	told string // certificate and findings of the last pair
}

func (w *warnings) tell(pair *tlsstore.Pair) {
	says := fmt.Sprintf("%x %v", sha256.Sum256(pair.Certificate.Leaf.Raw), pair.Findings)
	w.mu.Lock()
	known := w.told == says
	w.told = says
	w.mu.Unlock()
	if known {
		return
	}
	for _, finding := range pair.Findings {
		w.logger.Warn().Str("certificate", pair.CertFile).Msg(finding.String())
	}
}

// banner tells the user who is viewing, unless that is switched off, which the engine
// logs at every view.
func banner(cfg *config.Config) consent.Banner {
	if !cfg.Consent.Banner {
		return nil
	}
	return window(cfg)
}

// window is what shows questions, notices and banners.
func window(cfg *config.Config) desktop.X11 {
	return desktop.X11{Bell: cfg.Consent.Bell, Texts: cfg.Consent.Texts}
}

func prompter(cfg *config.Config, logger zerolog.Logger) consent.Prompter {
	switch cfg.Consent.Prompter {
	case "deny":
		return consent.Deny{}
	case "allow":
		return allow{logger: logger}
	case "exec":
		return desktop.OneAtATime(consent.Exec{Command: cfg.Consent.Exec, Run: runas.Run, Texts: cfg.Consent.Texts})
	case "notify":
		return desktop.Notify{Texts: cfg.Consent.Texts}
	}
	return window(cfg)
}

// allow asks nobody, and logs each use.
type allow struct {
	consent.Allow
	logger zerolog.Logger
}

// Ask implements [consent.Prompter].
func (a allow) Ask(ctx context.Context, r consent.Request) (consent.Decision, error) {
	a.logger.Warn().Str("session", r.Session).Str("user", r.User).Str("admin", r.Admin).
		Msg(`prompter = "allow": granted without asking`)
	return a.Allow.Ask(ctx, r)
}
