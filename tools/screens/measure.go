package main

import (
	"context"
	"errors"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/testhost"
)

// A measurement is of one source with one viewer.
type measurement struct {
	desktop *testhost.Desktop
	board   *board
	viewer  *viewer
	source  []int // its processes
	figures figures
}

// changes measures how late single changes on a still screen are.
func (m *measurement) changes(ctx context.Context, n int) error {
	if _, err := m.during(ctx, time.Second); err != nil { // what begins with the first frame ends
		return err
	}
	for range n {
		if _, err := m.during(ctx, time.Duration(100+rand.IntN(150))*time.Millisecond); err != nil {
			return err
		}
		start := time.Now()
		m.board.change()
		for touched := false; !touched; {
			u, err := m.viewer.next()
			if err != nil {
				return err
			}
			if touched = slices.ContainsFunc(u.rects, func(r image.Rectangle) bool { return r.Overlaps(square) }); touched {
				m.figures.add("change", ms(u.at.Sub(start)))
			}
		}
	}
	return nil
}

// during counts the updates of a while.
func (m *measurement) during(ctx context.Context, d time.Duration) (updates int, err error) {
	timeout := time.After(d)
	for {
		select {
		case _, ok := <-m.viewer.updates:
			if !ok {
				return updates, m.viewer.err
			}
			updates++
		case <-timeout:
			return updates, nil
		case <-ctx.Done():
			return updates, errors.New("interrupted")
		}
	}
}

// load measures what a load costs.
func (m *measurement) load(ctx context.Context, l load, d time.Duration) error {
	stop := func() {}
	switch {
	case l.film:
		var err error
		if stop, err = m.board.play(); err != nil {
			return err
		}
	case l.shell != "":
		p, err := m.desktop.Spawn("xterm", "-geometry", "120x45+40+40", "-e", "sh", "-c", l.shell)
		if err != nil {
			return err
		}
		stop = func() { p.Stop(0, time.Minute) }
	}
	defer stop()
	if _, err := m.during(ctx, 2*time.Second); err != nil {
		return err
	}
	cpu, bytes, start := m.cpu(), m.viewer.bytes.Load(), time.Now()
	updates, err := m.during(ctx, d)
	if err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	m.figures.add(l.name+"-cpu", ms(m.cpu()-cpu)/seconds)
	m.figures.add(l.name+"-kb", float64(m.viewer.bytes.Load()-bytes)/1000/seconds)
	m.figures.add(l.name+"-updates", float64(updates)/seconds)
	return nil
}

// cpu is the CPU time of the source and the X server.
func (m *measurement) cpu() time.Duration { return clock(m.desktop.ServerPID()) + clocks(m.source) }

// clocks is the CPU time of these processes, to the nanosecond (clock_getcpuclockid(3)).
func clocks(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		sum += clock(pid)
	}
	return sum
}

// clock is the CPU time of a process; 0 if it has gone.
func clock(pid int) time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|2), &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// descendants are the children of a process, and theirs.
func descendants(of int) (pids []int) {
	parents := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 {
			parents[pid], _ = strconv.Atoi(f[1])
		}
	}
	for pid := range parents {
		for p := parents[pid]; p > 1; p = parents[p] {
			if p == of {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
