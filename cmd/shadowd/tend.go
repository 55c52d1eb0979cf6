package main

import (
	"context"
	"os"
	"sync"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/host/watchdog"
	"vda.internal/shadow/internal/logs"
)

// tend does what is to be done while shadowd serves, until ctx ends or stop is
// called: it heeds hangups, uses as many processors as the views need, and tells
// systemd's watchdog that the engine lives.
func tend(ctx context.Context, hangups <-chan os.Signal, r *reloader, m *shadow.Manager) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-hangups:
				r.reload()
			case <-ctx.Done():
				return
			}
		}
	})
	running.Go(func() { spread(ctx, m) })
	go watchdog.Run(ctx, func() { m.List() }) // which goes through the engine's lock
	return func() {
		cancel()
		logs.Within(logs.FlushTime, running.Wait) // to open a file anew may hang
	}
}

// A reloader does what SIGHUP asks for.
type reloader struct {
	path        string // of the configuration; empty: the usual file, which may be missing
	fingerprint string // of the file that is in use
	out         *outputs
	join        func(*config.Config) error // the fleet that the configuration says; nil: none
}

// reload reopens the files that shadowd writes, and applies the keys that are read at a hangup: the
// log's level, and the fleet. It ends nothing.
func (r *reloader) reload() {
	log := r.out.logger
	if err := r.out.reopen(); err != nil {
		log.Error().Err(err).Msg("SIGHUP: cannot reopen the audit file; the old one stays in use")
	}
	cfg, err := config.Load(r.path)
	if err != nil {
		log.Error().Err(err).Msg("SIGHUP: cannot read the configuration; the old one stays in use")
		return
	}
	if err := r.out.setLevel(cfg.Log.Level); err != nil {
		log.Error().Err(err).Msg("SIGHUP: the log level stays unchanged")
	}
	if r.join != nil {
		if err := r.join(cfg); err != nil {
			log.Error().Err(err).Msg("SIGHUP: cannot join the fleet; the old membership stays")
		}
	}
	if cfg.Fingerprint() != r.fingerprint {
		log.Warn().Msg("SIGHUP: some changed settings take effect only after a restart")
		return
	}
	log.Info().Msg("SIGHUP: reopened the log files and reread the configuration")
}
