package signin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A FileBoard is a [Board] of one gate alone: what it has put up is there after a restart.
type FileBoard struct {
	path string

	mu    sync.Mutex
	all   map[string]posted // by key
	lines int               // of the file
	next  int               // lines with which it is written anew
}

// A posted is a notice that is up.
type posted struct {
	notice string
	until  time.Time
}

// OpenBoard reads the file at path, a line for each notice: KEY UNTIL NOTICE. It needn't be there.
func OpenBoard(path string, now time.Time) (*FileBoard, error) {
	b := &FileBoard{path: path, all: map[string]posted{}}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("who is signed in: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := append(strings.Fields(lines.Text()), "", "", "")
		seconds, err := strconv.ParseInt(words[1], 10, 64)
		if until := time.Unix(seconds, 0); err == nil && until.After(now) {
			b.all[words[0]] = posted{words[2], until}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("who is signed in: %w", err)
	}
	return b, b.write(now)
}

// OnPosted implements [Board].
func (b *FileBoard) OnPosted(heard func(notice string)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.all {
		heard(one.notice)
	}
}

// Post implements [Board].
func (b *FileBoard) Post(_ context.Context, key, notice string, until time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all[key] = posted{notice, until}
	if b.lines >= b.next {
		return b.write(time.Now())
	}
	f, err := os.OpenFile(b.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("who is signed in: %w", err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, key, until.Unix(), notice); err != nil {
		return fmt.Errorf("who is signed in: %w", err)
	}
	b.lines++
	return nil
}

// write writes the file anew, without what doesn't count any more.
func (b *FileBoard) write(now time.Time) error {
	var text []byte
	for key, one := range b.all {
		if !one.until.After(now) {
			delete(b.all, key)
			continue
		}
		text = fmt.Appendln(text, key, one.until.Unix(), one.notice)
	}
	b.lines, b.next = len(b.all), 2*len(b.all)+1000
	return replace(b.path, text, true)
}
