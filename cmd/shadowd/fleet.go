package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/fleet/dialout"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/fleet/host"
	"vda.internal/shadow/internal/fleet/spool"
	"vda.internal/shadow/internal/logs"
	"vda.internal/shadow/internal/version"
)

// A member is this host's part in a fleet, which may begin, change and end while shadowd runs. The audit goes
// through it.
type member struct {
	logger zerolog.Logger
	own    func(shadow.Event) error // the audit of this host
	told   bool                     // the event that is being written is one that own and backlog have; for its goroutine only

	state   string   // where it is written down which spools are used; empty: nowhere
	closed  []string // of these, those that can't be opened
	backlog backlog
	spooled atomic.Pointer[spooling] // nil: in no fleet

	mu      sync.Mutex
	now     *part // nil: in no fleet
	stopped bool
}

// A part is one configuration's in a fleet.
type part struct {
	config config.Fleet
	secret [sha256.Size]byte // of the credentials
	spool  *spool.Spool
	lines  *chain         // of spool, behind those of the spools before
	views  *dialout.Ports // nil: gates dial this host
	end    func()         // of the host that takes part
}

// spooling is where the audit goes besides.
type spooling struct {
	*spool.Spool
	id       string // of the host
	required bool
}

// audit writes an event to this host's audit and to the spool. It is called again with the same event after an
// error. What the spool refuses waits for it apart, so that this host's audit has what comes next; that refuses a
// request only, and once.
func (m *member) audit(e shadow.Event) error {
	if m.told {
		m.told = false
		return nil
	}
	if err := m.own(e); err != nil {
		return err
	}
	s := m.spooled.Load()
	if s == nil {
		return nil
	}
	err := m.line(e)
	if err == nil || e.Type != shadow.EventRequested || !s.required {
		return nil
	}
	m.told = true
	return fmt.Errorf("the fleet's spool: %w", err)
}

// spool puts an event into s, or into the spool that has come instead. Its id is that of its content, so that an
// attempt that failed half way makes no second event.
func (m *member) spool(s *spooling, e shadow.Event) error {
	if s == nil {
		return nil
	}
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append([]byte(s.id+"\n"), data...))
	err = s.Append(hex.EncodeToString(sum[:16]), data)
	if errors.Is(err, spool.ErrClosed) && m.spooled.Load() != s { // the fleet has changed, or was left
		return m.spool(m.spooled.Load(), e)
	}
	return err
}

// join begins what the configuration says, if that isn't what there is. If it can't, what was there is
// kept. The spool of that path and the ports of views outlast a change: no line is lost by it, and no view
// that is away.
func (m *member) join(c config.Fleet, engine host.Engine, terms *api.Terms) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(c.Servers) == 0 || m.stopped {
		m.leave()
		return nil
	}
	credentials, secret, err := readCredentials(c.Credentials)
	if err != nil {
		return err
	}
	before := m.now
	if before == nil {
		before = new(part)
	}
	next := &part{config: c, secret: secret, spool: before.spool, lines: before.lines, views: before.views}
	if before.spool != nil && secret == before.secret && reflect.DeepEqual(c, before.config) {
		return nil
	}
	same := before.spool != nil && filepath.Clean(c.Spool) == filepath.Clean(before.config.Spool)
	if !same {
		if before.lines.earlier().has(c.Spool) {
			return fmt.Errorf("fleet.spool: lines wait in %s from when it was used before, and are delivered first; try again when they are", c.Spool)
		}
		if next.spool, err = openSpool(c, m.logger); err != nil {
			return err
		}
		file := m.spoolsFile(credentials.ID)
		earlier, closed := before.lines, m.closed
		if earlier == nil {
			earlier, closed = m.former(file, c.Spool)
		}
		m.closed = closed
		m.remember(file, slices.Concat(closed, earlier.paths(), []string{filepath.Clean(c.Spool)}))
		next.lines = &chain{path: c.Spool, now: next.spool, before: earlier, logger: m.logger}
	}
	switch {
	case c.Views != "dial-out":
		next.views = nil
	case next.views == nil:
		next.views = new(dialout.Ports)
	}
	h, err := host.New(host.Config{
		Engine: engine, Credentials: credentials, Servers: c.Servers, Version: version.String(), Terms: terms, Spool: next.lines, Views: next.views, Logger: m.logger,
	})
	if err != nil && !same {
		err = errors.Join(err, next.spool.Close())
		if before.lines == nil && next.lines.before != nil {
			next.lines.before.close()
		}
	}
	if err != nil {
		return err
	}
	if same {
		if err := next.spool.Limit(int64(c.SpoolMiB)<<20, c.SpoolAge); err != nil {
			return fmt.Errorf("fleet.spool: %w", err)
		}
	}
	m.begin(next, h)
	m.logger.Info().Str("host", h.ID()).Strs("servers", c.Servers).Msg("this host is in a fleet")
	return nil
}

// leaveTime is how long a host may take to leave the fleet. The bus can hold it for longer.
const leaveTime = 2 * time.Second

// A runner is a part in a fleet until its context ends. *[host.Host] is one.
type runner interface {
	ID() string
	Run(ctx context.Context) error
}

// begin runs a host in the place of what there is; m.mu is held. There is a spool all the while.
func (m *member) begin(next *part, h runner) {
	if next.lines == nil {
		next.lines = &chain{path: next.config.Spool, now: next.spool, logger: m.logger}
	}
	m.spooled.Store(&spooling{Spool: next.spool, id: h.ID(), required: next.config.Audit == "required"})
	if m.now != nil {
		m.now.end()
	}
	next.lines.settle()
	m.now = next
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := h.Run(ctx); err != nil {
			m.logger.Error().Err(err).Msg("cannot take part in the fleet")
		}
	}()
	next.end = func() {
		cancel()
		logs.Within(leaveTime, func() { <-ended })
	}
}

// leave ends what there is; m.mu is held.
func (m *member) leave() {
	if m.now != nil {
		m.now.end()
		m.giveUp()
		m.spooled.Store(nil)
		m.now.lines.close()
		m.now = nil
	}
}

// close ends it for good. What isn't delivered stays in the spool.
func (m *member) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	m.leave()
}

func readCredentials(path string) (*enrol.Credentials, [sha256.Size]byte, error) {
	c, err := enrol.Load(path)
	if err != nil {
		return nil, [sha256.Size]byte{}, fmt.Errorf("fleet.credentials: %w", err)
	}
	data, err := json.Marshal(c)
	return c, sha256.Sum256(data), err
}

// openSpool opens the spool, and makes the folder that it is in.
func openSpool(c config.Fleet, logger zerolog.Logger) (*spool.Spool, error) {
	if err := os.MkdirAll(filepath.Dir(c.Spool), 0o700); err != nil {
		return nil, fmt.Errorf("fleet.spool: %w", err)
	}
	s, err := spool.Open(c.Spool, spool.Options{MaxBytes: int64(c.SpoolMiB) << 20, MaxAge: c.SpoolAge, Damaged: func(d spool.Damage) {
		logger.Error().Str("file", d.File).Int64("from", d.From).Int64("bytes", d.Length).Msg("part of the fleet's spool is unreadable")
	}})
	if err != nil {
		return nil, fmt.Errorf("fleet.spool: %w", err)
	}
	return s, nil
}
