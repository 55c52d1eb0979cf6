package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/spool"
)

// stateDir is where it is written down which spools were used, so that what waits in one is delivered though the
// configuration names another by now. Empty: there is no such place.
func stateDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); filepath.IsAbs(dir) { // systemd's
		return dir
	}
	dir := filepath.Dir(config.DefaultSpool)
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// spoolsFile is the file of a host, of which there may be several on one machine.
func (m *member) spoolsFile(id string) string {
	if m.state == "" || fleet.CheckID(id) != nil {
		return ""
	}
	return filepath.Join(m.state, "spools."+id+".json")
}

// A chain gives what waits in the spools that were used before, the oldest first, and then what is in the one in use.
type chain struct {
	path   string
	now    *spool.Spool
	logger zerolog.Logger

	mu     sync.Mutex
	before *chain // nil: nothing waits there any more
	first  bool   // the line of the last Peek was of before
}

// peekTime is for how long a line of a spool from before is waited for.
const peekTime = time.Second

// Peek implements [host.Spool].
func (c *chain) Peek(ctx context.Context) (string, []byte, error) {
	for before := c.earlier(); before != nil; before = c.earlier() {
		short, cancel := context.WithTimeout(ctx, peekTime) // who delivered before may still take what is there
		id, data, err := before.Peek(short)
		over := short.Err() != nil
		cancel()
		switch {
		case err == nil, ctx.Err() != nil:
			return id, data, err
		case over:
			continue
		}
		c.logger.Error().Err(err).Str("spool", before.path).Msg("lines for the fleet stay in a spool that was used before: it can't be read")
		c.drop()
	}
	return c.now.Peek(ctx)
}

// earlier is what is to be delivered first; nil: there is nothing.
func (c *chain) earlier() *chain {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first = c.before != nil && c.before.waiting() > 0; c.first {
		return c.before
	}
	if c.before != nil {
		c.before.close()
		c.before = nil
	}
	return nil
}

// settle closes the spools from before if they are empty; else their lines are delivered first.
func (c *chain) settle() {
	if before := c.earlier(); before != nil {
		c.logger.Info().Str("spool", before.path).Int("waiting", before.waiting()).Msg("lines that wait in a spool from before are delivered to the fleet first")
	}
}

// drop forgets the spools from before.
func (c *chain) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.before != nil {
		c.before.close()
	}
	c.before, c.first = nil, false
}

// Ack implements [host.Spool].
func (c *chain) Ack(id string) error {
	c.mu.Lock()
	before, first := c.before, c.first
	c.mu.Unlock()
	if first && before != nil {
		return before.Ack(id)
	}
	return c.now.Ack(id)
}

// waiting is how many lines there are in all.
func (c *chain) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.now.State().Events
	if c.before != nil {
		n += c.before.waiting()
	}
	return n
}

// paths are where all of it is; of a nil chain none.
func (c *chain) paths() (list []string) {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(c.before.paths(), filepath.Clean(c.path))
}

// has reports whether a part of it is at path.
func (c *chain) has(path string) bool { return slices.Contains(c.paths(), filepath.Clean(path)) }

// close closes all of it. What isn't delivered stays there.
func (c *chain) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.before != nil {
		c.before.close()
	}
	_ = c.now.Close()
}

// former are the spools of earlier runs in which lines wait; nil: there are none. The one at path is the new one.
// closed are those that can't be opened now.
func (m *member) former(file, path string) (all *chain, closed []string) {
	if file == "" {
		return nil, nil
	}
	path = filepath.Clean(path)
	var known []string
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &known)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.logger.Error().Err(err).Msg("which spools were used before can't be read: lines that wait there aren't delivered")
	}
	used := []string{path}
	for _, one := range known {
		if one = filepath.Clean(one); slices.Contains(used, one) {
			continue
		}
		if _, err := os.Stat(one); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		s, err := spool.Open(one, spool.Options{})
		if err != nil {
			m.logger.Error().Err(err).Str("spool", one).Msg("lines for the fleet may wait in a spool that was used before: it can't be opened; it is tried again at the next start")
			closed = append(closed, one)
			continue
		}
		if s.State().Events == 0 {
			_ = s.Close()
			continue
		}
		used = append(used, one)
		all = &chain{path: one, now: s, before: all, logger: m.logger}
	}
	return all, closed
}

// remember writes down which spools are used.
func (m *member) remember(file string, paths []string) {
	if file == "" {
		return
	}
	data, err := json.Marshal(paths)
	if err == nil {
		err = os.WriteFile(file+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		m.logger.Error().Err(err).Msg("cannot record the spool's path; if fleet.spool changes before the next start, lines waiting there are not delivered")
	}
}
