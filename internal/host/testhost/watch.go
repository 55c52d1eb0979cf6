package testhost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"vda.internal/shadow/internal/host/child"
)

// markButton is a mouse button that nothing uses: no RFB viewer can press it
// (its pointer events have eight), and no program here listens to it.
const markButton = 10

// maxEvents bounds an InputLog's memory.
const maxEvents = 1 << 16

// An InputEvent is a key, button or pointer event as it reached the X server
// (an XInput 2 raw event).
type InputEvent struct {
	Type   string // "RawKeyPress", "RawKeyRelease", "RawButtonPress", "RawButtonRelease", "RawMotion"
	Detail int    // keycode or button
}

// String is the event as one word: "RawKeyPress:38".
func (e InputEvent) String() string { return e.Type + ":" + strconv.Itoa(e.Detail) }

// An InputLog is a record of every input event that reaches an X server, from
// whichever client or device and whichever window has the focus.
type InputLog struct {
	d    *Desktop
	p    *child.Process
	done chan struct{} // closed when read has returned

	mu     sync.Mutex
	events []InputEvent
	marks  int
	change chan struct{} // closed and replaced at each event
}

// WatchInput records the desktop's input events from now on. The caller closes
// the log; Close of the desktop ends it too.
func (d *Desktop) WatchInput(ctx context.Context) (*InputLog, error) {
	path, err := tool("xinput")
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "test-xi2", "--root")
	cmd.Stdout = w
	p, err := d.SpawnCmd(cmd)
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	l := &InputLog{d: d, p: p, done: make(chan struct{}), change: make(chan struct{})}
	go l.read(r)
	if err := l.begin(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// begin makes marks until one arrives: then the watch is on.
func (l *InputLog) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, toolLimit)
	defer cancel()
	for {
		err := l.mark(ctx, 500*time.Millisecond)
		if err == nil {
			break
		}
		if !errors.Is(err, errNoMark) {
			return err
		}
	}
	l.mu.Lock()
	l.events = nil
	l.mu.Unlock()
	return nil
}

// Events returns every event so far. An event that the X server took before
// the call is among them: the log makes a mark of its own and waits until that
// has come by.
func (l *InputLog) Events(ctx context.Context) ([]InputEvent, error) {
	if err := l.mark(ctx, toolLimit); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]InputEvent(nil), l.events...), nil
}

var errNoMark = errors.New("the input log's mark did not arrive")

// mark presses and releases the mark's button and waits for the release.
func (l *InputLog) mark(ctx context.Context, limit time.Duration) error {
	l.mu.Lock()
	before := l.marks
	l.mu.Unlock()
	if _, err := l.d.Run(ctx, "xdotool", "click", strconv.Itoa(markButton)); err != nil {
		return err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		l.mu.Lock()
		now, change := l.marks, l.change
		l.mu.Unlock()
		if now > before {
			return nil
		}
		select {
		case <-change:
		case <-l.done:
			return errors.New("the input log has ended")
		case <-timer.C:
			return errNoMark
		case <-ctx.Done():
			return fmt.Errorf("the input log: %w", context.Cause(ctx))
		}
	}
}

// Close ends the log. Further calls do nothing.
func (l *InputLog) Close() error {
	l.p.Stop(0, time.Second)
	<-l.done
	return nil
}

var (
	eventLine  = regexp.MustCompile(`^EVENT type \d+ \((\w+)\)`)
	detailLine = regexp.MustCompile(`^\s+detail: (\d+)`)
)

// read takes xinput's output: a line with the event's name, then indented
// lines about it.
func (l *InputLog) read(r io.ReadCloser) {
	defer close(l.done)
	defer r.Close()
	name := ""
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if m := eventLine.FindStringSubmatch(line); m != nil {
			name = m[1]
			continue
		}
		m := detailLine.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(name, "Raw") {
			continue
		}
		if n, err := strconv.Atoi(m[1]); err == nil {
			l.add(InputEvent{Type: name, Detail: n})
		}
		name = ""
	}
}

// add records an event, or counts a mark.
func (l *InputLog) add(e InputEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case e.Detail == markButton && e.Type == "RawButtonRelease":
		l.marks++
	case e.Detail == markButton && e.Type == "RawButtonPress":
	case len(l.events) < maxEvents:
		l.events = append(l.events, e)
	}
	close(l.change)
	l.change = make(chan struct{})
}
