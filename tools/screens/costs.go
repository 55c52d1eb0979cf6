package main

import (
	"context"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/testhost"
)

// A cost is what a peer takes while it is watched.
type cost struct {
	source, server float64 // ms of CPU a second, the X server's for the load included
	kb, updates    float64 // a second
}

// desktops measures the peers on desktops, all if none is named, and writes a table, each line as soon as it is known.
func desktops(ctx context.Context, out io.Writer, names []string, d time.Duration, pictures string) {
	fmt.Fprintf(out, "%s; %d processors, load %s; 1280x800, %v each.\n\n", time.Now().UTC().Format("2006-01-02 15:04"), runtime.NumCPU(), loadAverage(), d)
	fmt.Fprint(out, "| desktop | |")
	for _, what := range []string{"CPU, ms/s", "the X server's for it, ms/s", "KB/s", "updates/s"} {
		fmt.Fprintf(out, " %s: %s | %s |", what, peers[0].name, peers[1].name)
	}
	fmt.Fprintf(out, "\n| --- | --- |%s\n", strings.Repeat(" ---: |", 8))
	for i := range kinds {
		k := &kinds[i]
		if len(names) > 0 && !slices.Contains(names, k.name) {
			continue
		}
		if err := k.measure(ctx, out, d, pictures); err != nil {
			fmt.Fprintf(out, "| %s | %v | | | | | | | | |\n", k.title, err)
		}
		if ctx.Err() != nil {
			return
		}
	}
	fmt.Fprintf(out, "\nThe load afterwards: %s.\n", loadAverage())
}

// loadAverage is that of the last minute, five and fifteen.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(b)); err == nil && len(fields) > 2 {
		return strings.Join(fields[:3], " ")
	}
	return "unknown"
}

// measure writes the lines of a desktop.
func (k *kind) measure(ctx context.Context, out io.Writer, d time.Duration, pictures string) error {
	desktop, err := k.open(ctx)
	if err != nil {
		return err
	}
	defer desktop.Close()
	if ok, err := composited(desktop); err != nil || !ok {
		return fmt.Errorf("it has no compositor (%v)", err)
	}
	for _, s := range scenes {
		if err := s.measure(ctx, out, k, desktop, d, pictures); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}

func (s *scene) measure(ctx context.Context, out io.Writer, k *kind, desktop *testhost.Desktop, d time.Duration, pictures string) error {
	end, err := s.begin(ctx, k, desktop)
	if err != nil {
		return err
	}
	defer end()
	before, began := clock(desktop.ServerPID()), time.Now()
	time.Sleep(d)
	alone := ms(clock(desktop.ServerPID())-before) / time.Since(began).Seconds()
	costs := make([]cost, len(peers))
	for i, p := range peers {
		if costs[i], err = watched(ctx, desktop, p, d); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if costs[i].server -= alone; math.Abs(costs[i].server) < 0.05 {
			costs[i].server = 0 // and not "-0.0"
		}
	}
	a, b := costs[0], costs[1]
	fmt.Fprintf(out, "| %s | %s | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n",
		k.title, s.title, a.source, b.source, a.server, b.server, a.kb, b.kb, a.updates, b.updates)
	if pictures == "" {
		return nil
	}
	return keep(ctx, desktop, filepath.Join(pictures, k.name+"-"+s.name+".png"))
}

// watched is what a peer costs while a viewer watches for so long.
func watched(ctx context.Context, desktop *testhost.Desktop, p peer, d time.Duration) (c cost, err error) {
	id := desktop.Identity
	conn, err := p.source.Open(ctx, &shadow.Session{
		ID: "1", User: "user", UID: id.UID, GID: id.GID, Groups: id.Groups, Display: desktop.Display, Xauthority: desktop.Xauthority,
	})
	if err != nil {
		return c, err
	}
	defer conn.Close()
	v, err := newViewer(ctx, conn)
	if err != nil {
		return c, err
	}
	m := &measurement{desktop: desktop, viewer: v}
	if _, err := m.during(ctx, 3*time.Second); err != nil { // all that comes at first
		return c, err
	}
	pid := conn.(interface{ PID() int }).PID()
	source, server, bytes, began := clock(pid), clock(desktop.ServerPID()), v.bytes.Load(), time.Now()
	updates, err := m.during(ctx, d)
	if err != nil {
		return c, err
	}
	seconds := time.Since(began).Seconds()
	return cost{
		source: ms(clock(pid)-source) / seconds, server: ms(clock(desktop.ServerPID())-server) / seconds,
		kb: float64(v.bytes.Load()-bytes) / 1000 / seconds, updates: float64(updates) / seconds,
	}, nil
}

// keep writes a picture of the desktop.
func keep(ctx context.Context, desktop *testhost.Desktop, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	img, err := desktop.Screenshot(ctx)
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return png.Encode(f, img)
}
