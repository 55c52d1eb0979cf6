// Package spool keeps audit events on disk until somebody has taken them: a queue in files.
//
//	s, err := spool.Open("/var/lib/shadowd/spool", spool.Options{})
//	err = s.Append(id, event)       // returns when it is on the disk
//	id, event, err := s.Peek(ctx)   // waits for the oldest
//	err = s.Ack(id)                 // it needn't come again
//
// # What is promised
//
// An event whose Append returned nil comes out of Peek, in the order of the appends, until it was
// acknowledged: after a kill -9, a crash of the system and a loss of power, too. Append syncs the
// file, and the directory when it makes a file. An Append that fails leaves nothing behind but, after
// an error of the disk, perhaps the event itself; its retry has the same id.
//
// An Ack survives a kill -9. It isn't synced, so a loss of power may undo those of the last
// half a minute, and the events come again with their ids: whoever takes them tells by
// the id what it has already.
//
// The oldest is kept. Nothing that waits is dropped for something newer: when there is no room Append
// fails with [ErrFull].
//
// # Why files of its own
//
// A queue needs an append and a byte that says that one is done. bbolt would bring pages that are
// copied at each commit, two syncs for each event instead of one, a file that never shrinks, and a
// mapping by which a broken disk is a signal that ends the process instead of an error that refuses
// a request. On a full disk it can't delete either, since that copies pages; an Ack here
// overwrites one byte in place, and makes room.
package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// Errors of a Spool, to be compared by errors.Is.
var (
	// ErrFull reports that there is no room for an event: the spool has MaxBytes, its oldest event has
	// waited for MaxAge, or the disk is full.
	ErrFull = errors.New("the spool has no room")
	// ErrClosed reports a call after Close.
	ErrClosed = errors.New("the spool is closed")
	// ErrNotFirst reports an Ack of an event that isn't the oldest.
	ErrNotFirst = errors.New("not the oldest event of the spool")
)

// What an event may be.
const (
	MaxID   = 255       // bytes of its id
	MaxData = 512 << 10 // bytes of it
)

const (
	defaultBytes = 64 << 20
	mostBytes    = 1 << 30
	defaultAge   = 30 * 24 * time.Hour
	// A file is begun when the one before has this share of MaxBytes, or the most that follows: what
	// is done is removed by whole files.
	fileShare = 16
	mostFile  = 1 << 20 // bytes
)

// Options are what a spool may hold.
type Options struct {
	MaxBytes int64         // of its files, in all; 0: 64 MiB; 1 GiB at most
	MaxAge   time.Duration // how long the oldest event may have waited when another comes; 0: 30 days

	// Damaged is told of bytes in a file that aren't events any more, as after an error of
	// the disk. They are skipped. It must not call the spool. Nil: nobody is told.
	Damaged func(Damage)
}

// A Damage is what can't be read of a file.
type Damage struct {
	File         string // path
	From, Length int64  // bytes
}

// A State tells how full a spool is.
type State struct {
	Events int       // that wait
	Bytes  int64     // of the files
	Oldest time.Time // when the oldest of the events was appended; zero: none waits
}

// A Spool is a queue of events in a directory that no other process uses. Its methods may be called
// concurrently; there is one who takes the events.
type Spool struct {
	options Options
	dir     *directory

	mu     sync.Mutex
	files  []*file       // in order; the last is appended to
	bytes  int64         // of all files
	next   uint64        // number of the next file
	front  *record       // the oldest event, once it was read
	wake   chan struct{} // closed when there is something new
	closed bool
}

// complete is o with what counts where it says nothing.
func (o Options) complete() (Options, error) {
	if o.MaxBytes < 0 || o.MaxBytes > mostBytes || o.MaxAge < 0 {
		return o, fmt.Errorf("a bound of %d bytes and %v: they can't be negative, and there are %d bytes at most", o.MaxBytes, o.MaxAge, int64(mostBytes))
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultBytes
	}
	if o.MaxAge == 0 {
		o.MaxAge = defaultAge
	}
	if o.Damaged == nil {
		o.Damaged = func(Damage) {}
	}
	return o, nil
}

// Open opens the spool in dir, an absolute path, and makes the directory if it isn't there; its parent
// must be. As other state, the directory must be this process's own, all of the way to it writable by nobody
// else but root, and files in it are opened only if they are what Open made: links aren't followed.
// A spool that another process has open is an error. The caller closes it.
func Open(dir string, o Options) (*Spool, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	d, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	s := &Spool{options: o, dir: d, next: 1, wake: make(chan struct{})}
	if err := s.load(); err != nil {
		s.closeFiles()
		return nil, err
	}
	return s, nil
}

// Limit sets the bounds anew: those that Open takes, of which it takes nothing else.
func (s *Spool) Limit(maxBytes int64, maxAge time.Duration) error {
	o, err := Options{MaxBytes: maxBytes, MaxAge: maxAge}.complete()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.MaxBytes, s.options.MaxAge = o.MaxBytes, o.MaxAge
	return nil
}

// load reads what is there.
func (s *Spool) load() error {
	numbers, err := s.dir.list()
	if err != nil {
		return err
	}
	for i, n := range numbers {
		f, err := s.dir.open(n)
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
		if err := f.load(i == len(numbers)-1); err != nil {
			return err
		}
		s.bytes += f.size
		s.next = n + 1
		f.release() // a long spool must not take all descriptors
	}
	return s.discard()
}

// Append adds an event, and returns when it is on the disk. The id has 1 to MaxID bytes, the data
// MaxData at most. The error wraps ErrFull if there is no room.
func (s *Spool) Append(id string, data []byte) error {
	if id == "" || len(id) > MaxID || len(data) > MaxData {
		return fmt.Errorf("an event has an id of 1 to %d bytes and %d bytes at most; this one's are %d and %d", MaxID, MaxData, len(id), len(data))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	now := time.Now()
	b := encode(record{id: id, data: data, at: now})
	if err := s.room(int64(len(b)), now); err != nil {
		return err
	}
	f, err := s.last()
	if err != nil {
		return full(err)
	}
	if err := f.append(b); err != nil {
		return full(err)
	}
	s.bytes += int64(len(b))
	close(s.wake)
	s.wake = make(chan struct{})
	return nil
}

// room says why there is none for n bytes.
func (s *Spool) room(n int64, now time.Time) error {
	if s.bytes+n > s.options.MaxBytes {
		return fmt.Errorf("%w: %d events wait in %s, which has its %d bytes", ErrFull, s.events(), s.dir.path, s.options.MaxBytes)
	}
	first, err := s.first()
	if err != nil || first == nil {
		return nil // whoever takes the events is told of the error
	}
	if age := now.Sub(first.at); age > s.options.MaxAge {
		return fmt.Errorf("%w: the oldest event in %s has waited for %v, longer than %v", ErrFull, s.dir.path, age.Round(time.Second), s.options.MaxAge)
	}
	return nil
}

// full is err, wrapping ErrFull if the disk has no room.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w on the disk: %w", ErrFull, err)
	}
	return err
}

// last is the file to append to.
func (s *Spool) last() (*file, error) {
	if len(s.files) > 0 {
		f := s.files[len(s.files)-1]
		if !f.broken && f.size < min(mostFile, s.options.MaxBytes/fileShare) {
			return f, f.acquire()
		}
		if len(s.files) > 1 {
			f.release() // it is neither the first nor the last any more
		}
	}
	f, err := s.dir.create(s.next)
	if err != nil {
		return nil, err
	}
	s.next++
	s.files = append(s.files, f)
	return f, nil
}

// first reads the oldest event; nil: none waits.
func (s *Spool) first() (*record, error) {
	for s.front == nil && len(s.files) > 0 {
		f := s.files[0]
		r, err := f.first(s.options.Damaged)
		if err != nil {
			return nil, err
		}
		s.front = r
		if r == nil {
			if len(s.files) == 1 && f.size == 0 {
				break // it is empty, and stays for what comes
			}
			if err := s.discard(); err != nil {
				return nil, err
			}
		}
	}
	return s.front, nil
}

// Peek waits for the oldest event that wasn't acknowledged, until ctx ends; ctx doesn't bound what the
// disk takes. The data is the caller's.
func (s *Spool) Peek(ctx context.Context) (id string, data []byte, err error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return "", nil, ErrClosed
		}
		r, err := s.first()
		wake := s.wake
		s.mu.Unlock()
		if err != nil {
			return "", nil, err
		}
		if r != nil {
			return r.id, bytes.Clone(r.data), nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return "", nil, context.Cause(ctx)
		}
	}
}

// Ack says that the oldest event, which has this id, is with whom it was meant for. After an error the
// event comes again.
func (s *Spool) Ack(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	r, err := s.first()
	if err != nil {
		return err
	}
	if r == nil || r.id != id {
		return fmt.Errorf("%w: %.80q", ErrNotFirst, id)
	}
	if err := s.files[0].done(r); err != nil {
		return err
	}
	s.front = nil
	_ = s.discard() // the event is done; who wants the next one is told of the error
	return nil
}

// discard removes the files of which nothing waits, and empties the last one.
func (s *Spool) discard() error {
	for len(s.files) > 0 {
		f := s.files[0]
		if f.at < f.size || len(s.files) == 1 && f.size == 0 {
			return nil
		}
		if len(s.files) == 1 && !f.broken {
			n := f.size
			if err := f.empty(); err != nil {
				return err
			}
			s.bytes -= n
			return nil
		}
		f.release()
		if err := s.dir.remove(f.number); err != nil {
			return err
		}
		s.bytes -= f.size
		s.files = s.files[1:]
	}
	return nil
}

// events is how many wait.
func (s *Spool) events() (n int) {
	for _, f := range s.files {
		n += f.waiting
	}
	return n
}

// State tells how full the spool is.
func (s *Spool) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := State{Events: s.events(), Bytes: s.bytes}
	if s.closed {
		return state
	}
	if r, err := s.first(); err == nil && r != nil {
		state.Oldest = r.at
	}
	return state
}

// Close ends Peek, and lets another process have the spool. What waits stays. A second call does nothing.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	close(s.wake)
	return s.closeFiles()
}

func (s *Spool) closeFiles() error {
	var errs []error
	for _, f := range s.files {
		if f.f != nil {
			errs = append(errs, f.f.Sync()) // what was acknowledged
		}
		f.release()
	}
	return errors.Join(append(errs, s.dir.close())...)
}
