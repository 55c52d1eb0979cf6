// Package activity keeps what happened on the hosts, so that people can look at it: a bounded number of
// lines of JSON in a folder. The hosts' own audits are complete; this is what the gate has seen of
// them.
//
//	store, err := activity.Open("/var/lib/shadowgate/activity", 64<<20)
//	err = store.Add("vda1", event)
//	err = store.Each(ctx, activity.Query{User: "ann"}, func(r activity.Record) bool { return true })
package activity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/consent/policy"
)

const (
	parts    = 8        // files that the whole is divided into: the oldest goes at a time
	maxLine  = 64 << 10 // bytes of an event
	maxKnown = 8192     // latest events that are known again
	suffix   = ".jsonl"
)

// A Record is an event and its host.
type Record struct {
	shadow.Event
	Host string `json:"host"`

	// Cursor is for [Query.Before]: what is older than this record.
	Cursor string `json:"-"`
}

// A Store is the folder. It is safe for concurrent use; two programs must not share one.
type Store struct {
	dir      string
	partSize int64

	mu    sync.Mutex
	files []int // numbers of the files, the oldest first; the last is written to
	out   *os.File
	size  int64 // of the last
	known map[[16]byte]struct{}
	order [][16]byte
}

// Open opens the folder, or makes it, for at most so many bytes. The caller closes the store.
func Open(dir string, size int64) (*Store, error) {
	s := &Store{dir: dir, partSize: max(size/parts, maxLine), known: map[[16]byte]struct{}{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), suffix)); err == nil && n > 0 && e.Name() == name(n) {
			s.files = append(s.files, n)
		}
	}
	slices.Sort(s.files)
	if len(s.files) == 0 {
		s.files = []int{1}
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	for _, n := range s.files[max(0, len(s.files)-2):] {
		s.learn(n)
	}
	return s, nil
}

func name(n int) string { return fmt.Sprintf("%08d%s", n, suffix) }

func (s *Store) path(n int) string { return filepath.Join(s.dir, name(n)) }

// open opens the last file to write at its end. A line that a crash has left in half is ended.
func (s *Store) open() error {
	f, err := os.OpenFile(s.path(s.files[len(s.files)-1]), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err = f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			_, err = f.Write([]byte{'\n'})
		}
		if err == nil {
			info, err = f.Stat()
		}
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	s.out, s.size = f, info.Size()
	return nil
}

// learn notes the events of a file as known.
func (s *Store) learn(n int) {
	data, err := os.ReadFile(s.path(n))
	if err != nil {
		return
	}
	for line := range bytes.Lines(data) {
		s.isNew(bytes.TrimSuffix(line, []byte("\n")))
	}
}

// isNew reports whether an event hasn't come before, and notes it. An event that a host tells twice
// is the same to the nanosecond.
func (s *Store) isNew(line []byte) bool {
	sum := sha256.Sum256(line)
	key := [16]byte(sum[:16])
	if _, known := s.known[key]; known {
		return false
	}
	if len(s.order) >= maxKnown {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[key] = struct{}{}
	s.order = append(s.order, key)
	return true
}

// Add keeps an event. One that is kept already is left out.
func (s *Store) Add(host string, e shadow.Event) error {
	line, err := json.Marshal(Record{Event: e, Host: host})
	if err != nil {
		return err
	}
	if len(line) >= maxLine {
		return fmt.Errorf("an event of %d bytes", len(line))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		return errors.New("closed")
	}
	if !s.isNew(line) {
		return nil
	}
	if s.size+int64(len(line)) >= s.partSize {
		if err := s.next(); err != nil {
			return err
		}
	}
	n, err := s.out.Write(append(line, '\n'))
	s.size += int64(n)
	if err != nil {
		return err
	}
	return nil
}

// next begins another file, and removes those for which there is no room any more.
func (s *Store) next() error {
	old := s.out
	s.files = append(s.files, s.files[len(s.files)-1]+1)
	if err := s.open(); err != nil {
		s.files = s.files[:len(s.files)-1]
		return err
	}
	_ = old.Close()
	for len(s.files) > parts {
		if err := os.Remove(s.path(s.files[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.files = s.files[1:]
	}
	return nil
}

// Close closes the store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		return nil
	}
	err := errors.Join(s.out.Sync(), s.out.Close())
	s.out = nil
	return err
}

// A Query says which records are wanted. What is empty, or nil, wants all. In Admin, User and Host "*"
// stands for any characters, and case makes no difference.
type Query struct {
	Since, Until      time.Time // from, and before
	Admin, User, Host string
	Type              string // of event
	Shadow            string // id
	Text              string // somewhere in a record, in whatever case
	Before            string // a record's Cursor: older than that
	Allow             func(host, user string) bool

	// Progress is told now and then, between two records, down to where all has been read, as a Cursor. Reporting false
	// it ends the search. Nil: it goes on to the end.
	Progress func(cursor string) bool
}

// ErrCursor is that Before isn't a record's Cursor.
var ErrCursor = errors.New("the cursor isn't one of ours")

// Each calls f with the records that are wanted, the newest first, until f reports false. The error is
// that it couldn't be read, or ctx's.
func (s *Store) Each(ctx context.Context, q Query, f func(Record) bool) error {
	file, at, err := parseCursor(q.Before)
	if err != nil {
		return err
	}
	s.mu.Lock()
	files := slices.Clone(s.files)
	s.mu.Unlock()
	for _, n := range slices.Backward(files) {
		if file > 0 && (n > file || n == file && at == 0) { // all of it has been read
			continue
		}
		data, err := os.ReadFile(s.path(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was the oldest
		}
		if err != nil {
			return err
		}
		if n == file {
			data = data[:min(at, int64(len(data)))]
		}
		if goOn, err := each(ctx, n, data, q, f); err != nil || !goOn {
			return err
		}
		if q.Progress != nil && n != files[0] && !q.Progress(cursor(n, 0)) {
			return nil
		}
	}
	return nil
}

// each goes through a file backwards. What isn't a record was left by a crash.
func each(ctx context.Context, n int, data []byte, q Query, f func(Record) bool) (goOn bool, err error) {
	data = data[:bytes.LastIndexByte(data, '\n')+1] // what is behind is being written
	for count := 0; len(data) > 0; count++ {
		if count%1024 == 0 && ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		start := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
		line := data[start:]
		data = data[:start]
		var r Record
		if json.Unmarshal(line, &r) != nil || !q.Wants(r) {
			continue
		}
		r.Cursor = cursor(n, start)
		if !f(r) {
			return false, nil
		}
	}
	return true, nil
}

// cursor is a place in a file.
func cursor(file, at int) string { return fmt.Sprintf("%d.%d", file, at) }

func parseCursor(s string) (file int, at int64, err error) {
	if s == "" {
		return 0, 0, nil
	}
	a, b, ok := strings.Cut(s, ".")
	file, err1 := strconv.Atoi(a)
	at, err2 := strconv.ParseInt(b, 10, 64)
	if !ok || err1 != nil || err2 != nil || file < 1 || at < 0 {
		return 0, 0, ErrCursor
	}
	return file, at, nil
}

// Wants reports whether a record is wanted; Before isn't looked at.
func (q Query) Wants(r Record) bool {
	one := func(pattern, s string) bool { return pattern == "" || policy.MatchAny([]string{pattern}, s) }
	switch {
	case !q.Since.IsZero() && r.Time.Before(q.Since), !q.Until.IsZero() && !r.Time.Before(q.Until):
		return false
	case q.Type != "" && q.Type != string(r.Type), q.Shadow != "" && q.Shadow != r.ID:
		return false
	case !one(q.Admin, r.Admin), !one(q.User, r.User), !one(q.Host, r.Host):
		return false
	case q.Allow != nil && !q.Allow(r.Host, r.User):
		return false
	}
	return q.Text == "" || q.inText(r)
}

// inText reports whether the text is in what people read of a record.
func (q Query) inText(r Record) bool {
	text := strings.ToLower(q.Text)
	for _, s := range []string{r.Admin, r.User, r.Host, r.Session, r.ID, r.Purpose, r.Client, string(r.Type), string(r.Reason), r.Detail} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}
