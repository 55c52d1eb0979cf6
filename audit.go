package shadow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/strangers"
)

// A kind of event is what it is about.
type kind int

const (
	ofShadow  kind = iota // one that is going on
	ofRequest             // a new one: its channel tells how the first attempt to write it went
	ofRefusal             // a request that came to nothing
	ofNothing             // a request that the audit doesn't know: it isn't to know of the refusal either
)

// maxSpool is how many events may wait for an audit that can't be written, for another to be spooled.
// Requests leave room for their refusals, and both for the shadows that are going on.
var maxSpool = [...]int{ofShadow: 4096, ofRefusal: 4096 / 2, ofRequest: 4096 / 4, ofNothing: 0}

const (
	// auditTime is how long a request waits for its own line to be written.
	auditTime = 5 * time.Second
	// The pause between two attempts to write doubles from the first to the last.
	firstAuditRetry = 100 * time.Millisecond
	lastAuditRetry  = 5 * time.Second
)

// An AuditState tells how the audit is doing.
type AuditState struct {
	Waiting  int    // events that are spooled
	Failures uint64 // attempts to write that have failed, in all
	Lost     uint64 // events that found the spool full
	Err      error  // why the last attempt failed; nil: it did not
}

// JSONLines is an audit that writes each event to w, as one line of JSON with
// one Write. A line that w takes in part, as a full disk does, is completed by
// the next attempt. What it returns is for the Config.Audit of one Manager.
func JSONLines(w io.Writer) func(Event) error {
	var rest []byte // of the line that is being written
	return func(e Event) error {
		if rest == nil {
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			rest = append(line, '\n')
		}
		n, err := w.Write(rest)
		rest = rest[max(0, min(n, len(rest))):]
		switch {
		case len(rest) == 0:
			rest = nil
			return nil
		case err == nil:
			return io.ErrShortWrite
		}
		return err
	}
}

// An auditor hands events to the audit, in order and each until it is taken. It
// has a goroutine only while there is something to write, and that one alone
// waits for the audit, and for the log.
type auditor struct {
	write  func(Event) error // nil: there is no audit
	logger zerolog.Logger
	kick   chan struct{}  // ends the pause before the next attempt
	quit   chan struct{}  // closed when nobody waits for run any more
	losses strangers.Rate // limits the log of lost requests

	mu      sync.Mutex
	spool   []auditLine
	running bool
	over    bool          // quit is closed
	idle    chan struct{} // closed when run has nothing left to write
	state   AuditState    // without Waiting
	since   time.Time     // of the attempt that is under way; zero: none is
}

// An auditLine is an event on its way to the audit.
type auditLine struct {
	event Event
	tried chan error // is told how the first attempt went; nil: nobody waits
}

// errAuditFull is why an event isn't spooled.
var (
	errAuditFull  = errors.New("the audit can't be written, and too many lines wait for it")
	errAuditOver  = errors.New("the audit was given up at Shutdown")
	errAuditHangs = fmt.Errorf("the audit has taken no line for %v", auditTime)
)

func newAuditor(write func(Event) error, logger zerolog.Logger) *auditor {
	return &auditor{write: write, logger: logger, kick: make(chan struct{}, 1), quit: make(chan struct{})}
}

// put spools e, and reports whether it was kept: written it will be, or logged. What isn't is lost. On the
// line of a request something depends: the channel tells how the first attempt to write it went.
func (a *auditor) put(e Event, of kind) (kept bool, written <-chan error) {
	tried := make(chan error, 1)
	if a.write == nil {
		tried <- nil
		return true, tried
	}
	err := a.enqueue(e, of, tried)
	switch {
	case errors.Is(err, errAuditOver):
		a.unwritten(e)
	case err != nil:
		a.lose(e, of)
	}
	if err != nil {
		tried <- err
	}
	return !errors.Is(err, errAuditFull), tried
}

// enqueue is put's part under the lock.
func (a *auditor) enqueue(e Event, of kind, tried chan error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return errAuditOver
	}
	if len(a.spool) >= maxSpool[of] {
		a.state.Lost++
		return errAuditFull
	}
	line := auditLine{event: e}
	if of == ofRequest {
		line.tried = tried
	}
	a.spool = append(a.spool, line)
	switch {
	case !a.running:
		a.running, a.idle = true, make(chan struct{})
		go a.run()
	case of == ofRequest:
		a.hurry()
	}
	return nil
}

// lose logs an event for which there is no room. Of requests, who asks makes as many as he likes.
func (a *auditor) lose(e Event, of kind) {
	left := 0
	if of != ofShadow {
		var ok bool
		if left, ok = a.losses.Take(time.Now()); !ok {
			return
		}
	}
	a.logger.Error().Interface("event", e).Int("left_out", left).Msg("a line of the audit is lost: too many wait for it to be written")
}

// hurry lets the next attempt begin at once.
func (a *auditor) hurry() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// run writes until nothing is left.
func (a *auditor) run() {
	pause := firstAuditRetry
	for {
		event, ok := a.next()
		if !ok {
			return
		}
		if a.attempt(event) {
			pause = firstAuditRetry
			continue
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-a.kick:
			t.Stop()
		case <-a.quit:
			t.Stop()
			return
		}
		pause = min(2*pause, lastAuditRetry)
	}
}

// next is the first event of the spool. Without one run ends.
func (a *auditor) next() (Event, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.spool) == 0 {
		a.spool, a.running = nil, false
		close(a.idle)
		return Event{}, false
	}
	a.since = time.Now()
	return a.spool[0].event, true
}

// attempt tries to write e, the first of the spool, and reports whether it was written.
func (a *auditor) attempt(e Event) bool {
	err := a.hand(e)
	before, now := a.tried(err)
	switch {
	case err != nil && before.Err == nil:
		a.logger.Error().Err(err).Msg("the audit can't be written: its lines are kept and tried again, and requests are refused with audit_failed")
	case err == nil && before.Err != nil:
		a.logger.Warn().Int("waiting", now.Waiting).Uint64("lost", now.Lost).Msg("the audit can be written again")
	}
	return err == nil
}

// hand gives e to the audit.
func (a *auditor) hand(e Event) error {
	return apart("the audit", func() error { return a.write(e) })
}

// tried notes how an attempt to write the first line went, and tells those who wait.
func (a *auditor) tried(err error) (before, now AuditState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before = a.status()
	a.since = time.Time{}
	a.state.Err = err
	if err == nil {
		a.spool[0].tell(nil)
		a.spool[0] = auditLine{}
		a.spool = a.spool[1:]
	} else {
		a.state.Failures++
		for i := range a.spool {
			a.spool[i].tell(err)
		}
	}
	return before, a.status()
}

// tell tells whoever waits for l, once.
func (l *auditLine) tell(err error) {
	if l.tried != nil {
		l.tried <- err
		l.tried = nil
	}
}

// status is the audit's state; the caller holds a.mu.
func (a *auditor) status() AuditState {
	s := a.state
	s.Waiting = len(a.spool)
	if !a.since.IsZero() && time.Since(a.since) >= auditTime { // an attempt that doesn't return is one that fails
		s.Err = errAuditHangs
		s.Failures++
	}
	return s
}

// close waits until everything is written or ctx has ended. What is left then goes to the
// log, as what comes later does: nothing else can be done with it.
func (a *auditor) close(ctx context.Context) {
	a.mu.Lock()
	idle, wait := a.idle, a.running && !a.over
	a.mu.Unlock()
	if !wait {
		return
	}
	a.hurry()
	select {
	case <-idle:
		return
	case <-ctx.Done():
	}
	for _, line := range a.giveUp() {
		a.unwritten(line.event)
	}
}

// giveUp ends run, and is what it leaves behind. Once it was called there is nothing.
func (a *auditor) giveUp() []auditLine {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return nil
	}
	a.over = true
	close(a.quit)
	return slices.Clone(a.spool)
}

// unwritten logs an event that the audit hasn't taken.
func (a *auditor) unwritten(e Event) {
	a.logger.Error().Interface("event", e).Msg("a line of the audit was not written")
}
