// Fleetsim measures a fleet of many hosts: the bus and a gate's directory in this process, and in another one
// hosts with the real code and sessions that are made up. docs/scale.md has what it measured.
//
//	go run ./tools/fleetsim -hosts 2000
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/gate/fleethosts"
	"vda.internal/shadow/internal/gate/hosts"
)

func main() {
	n := flag.Int("hosts", 1000, "how many")
	sessions := flag.Int("sessions", 3, "on each host")
	lines := flag.Int("audit", 5, "lines of the audit that each host has at once")
	limit := flag.Duration("limit", 5*time.Minute, "how long the whole may take")
	file := flag.String("credentials", "", "be the hosts of this file")
	flag.Parse()
	time.AfterFunc(*limit, func() {
		fmt.Fprintln(os.Stderr, "fleetsim: it takes too long")
		os.Exit(1)
	})
	err := runHosts(*file, *sessions)
	if *file == "" {
		err = measure(*n, *sessions, *lines)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleetsim:", err)
		os.Exit(1)
	}
}

// A gate is a directory of the fleet's hosts.
type gate struct {
	directory *fleethosts.Directory
	conn      *bus.Conn
	mu        sync.Mutex
	hosts     map[string]hosts.Host
	stop      func()
}

// newGate begins one.
func newGate(keys *bus.Keys, server *bus.Server, name string) (*gate, error) {
	conn, err := keys.Connect(context.Background(), name, bus.Target{Server: server})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &gate{conn: conn, hosts: map[string]hosts.Host{}, directory: fleethosts.New(conn, fleethosts.Options{Fleet: keys.Fleet(), Logger: zerolog.Nop()})}
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			_ = g.directory.Run(ctx, func(h hosts.Host) {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.hosts[h.Name()] = h
			}, func(hosts.Host) {})
			time.Sleep(100 * time.Millisecond)
		}
	})
	g.stop = sync.OnceFunc(func() { cancel(); running.Wait(); conn.Close() })
	return g, nil
}

// away is for how long the bus is away when it is restarted.
const away = 3 * time.Second

// count waits until so many hosts are there. While that takes long it says how many are.
func (g *gate) count(n int) {
	began := time.Now()
	tell := began.Add(sayEvery)
	for there := 0; there < n; {
		time.Sleep(lookEvery)
		there = 0
		g.mu.Lock()
		for _, h := range g.hosts {
			if _, err := h.Terms(context.Background()); err == nil {
				there++
			}
		}
		g.mu.Unlock()
		if now := time.Now(); now.After(tell) {
			fmt.Fprintf(os.Stderr, "fleetsim: %d of %d after %v\n", there, n, now.Sub(began).Round(time.Second))
			tell = now.Add(sayEvery)
		}
	}
}

const (
	lookEvery = 50 * time.Millisecond // which is what the times are good to
	sayEvery  = 5 * time.Second
)

func measure(n, sessions, lines int) error {
	dir, err := os.MkdirTemp("", "fleetsim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	keys, err := bus.OpenKeys(filepath.Join(dir, "keys"), true)
	if err != nil {
		return err
	}
	options := bus.Options{Name: "bus", Keys: keys, Dir: dir}
	server, err := bus.Start(options)
	if err != nil {
		return err
	}
	options.Listen = server.URL()[len("nats://"):]
	defer func() { server.Close() }()
	conn, err := keys.Connect(context.Background(), "registry", bus.Target{Server: server})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Prepare(context.Background(), bus.Size{}); err != nil {
		return err
	}
	file := filepath.Join(dir, "hosts.json")
	if err := enrolAll(conn, keys, server, file, n); err != nil {
		return err
	}
	tell, ended, err := startHosts(file, sessions)
	if err != nil {
		return err
	}
	defer func() { _ = tell.Close(); <-ended }()
	began := time.Now()
	one, err := newGate(keys, server, "gate1")
	if err != nil {
		return err
	}
	defer func() { one.stop() }()
	one.count(n)
	report("all %d hosts (%d sessions) have started and are listed", time.Since(began), n, n*sessions)
	cpu := used()
	time.Sleep(20 * time.Second)
	fmt.Printf("| bus and gate at rest: processor, of one core | %.1f %% |\n| bus and gate: memory | %d MiB |\n", float64(used()-cpu)/float64(20*time.Second)*100, memory())

	began = time.Now()
	two, err := newGate(keys, server, "gate2")
	if err != nil {
		return err
	}
	two.count(n)
	report("another gate's start until its list is complete", time.Since(began))

	two.stop()
	if err := changes(one, tell); err != nil {
		return err
	}
	orders(one)
	if err := audit(conn, tell, n, lines); err != nil {
		return err
	}

	one.stop() // as a gate is restarted, with the bus that is in it
	conn.Close()
	server.Close()
	time.Sleep(away)
	began = time.Now()
	if server, err = bus.Start(options); err != nil {
		return err
	}
	if one, err = newGate(keys, server, "gate1"); err != nil {
		return err
	}
	one.count(n)
	report("bus and gate are restarted until all hosts are listed again", time.Since(began))
	return nil
}

func report(format string, d time.Duration, args ...any) {
	fmt.Printf("| %s | %v |\n", fmt.Sprintf(format, args...), d.Round(time.Millisecond))
}

// used is the processor's time of this process.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory is this process's, at most so far, in MiB.
func memory() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return int64(u.Maxrss) >> 10
}

// enrolAll takes hosts in, without asking them to prove anything.
func enrolAll(conn *bus.Conn, keys *bus.Keys, server *bus.Server, file string, n int) error {
	ctx := context.Background()
	kv, err := conn.JS.KeyValue(ctx, fleet.FleetBucket)
	if err != nil {
		return err
	}
	var all []enrol.Credentials
	for i := range n {
		key, err := nkeys.CreateUser()
		if err != nil {
			return err
		}
		public, err := key.PublicKey()
		if err != nil {
			return err
		}
		seed, err := key.Seed()
		if err != nil {
			return err
		}
		id := fmt.Sprintf("vda-%d", i)
		token, err := keys.Host(id, public)
		if err != nil {
			return err
		}
		value, err := json.Marshal(fleet.Enrolled{ID: id, Key: public, JWT: token, Address: "127.0.0.1", Since: time.Now()})
		if err != nil {
			return err
		}
		if _, err := kv.Put(ctx, fleet.EnrolledKey(id), value); err != nil {
			return err
		}
		all = append(all, enrol.Credentials{ID: id, Seed: string(seed), JWT: token, Fleet: []string{keys.Fleet()}, Servers: []string{server.URL()}})
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// startHosts starts the process of the hosts. It ends when tell is closed.
func startHosts(file string, sessions int) (tell io.WriteCloser, ended <-chan struct{}, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self, "-credentials", file, "-sessions", fmt.Sprint(sessions))
	cmd.Stderr = os.Stderr
	if tell, err = cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	over := make(chan struct{})
	go func() { defer close(over); _ = cmd.Wait() }()
	return tell, over, nil
}

// changes measures how soon the gate knows of another session.
func changes(g *gate, tell io.Writer) error {
	g.mu.Lock()
	h := g.hosts["vda-0"].(hosts.Pushed)
	g.mu.Unlock()
	var took []time.Duration
	for range 10 {
		before, _ := h.(hosts.Host).Sessions(context.Background())
		began := time.Now()
		if _, err := fmt.Fprintln(tell, "change"); err != nil {
			return err
		}
		for {
			<-h.Changed()
			if now, _ := h.(hosts.Host).Sessions(context.Background()); len(now) > len(before) {
				break
			}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	report("a change at a host until a gate knows it, 100 ms of which the host waits for more: median of 10", took[5])
	return nil
}

// orders measures what a gate's order costs: signed, carried, looked at, answered, sealed and opened.
func orders(g *gate) {
	g.mu.Lock()
	h := g.hosts["vda-1"]
	g.mu.Unlock()
	var took []time.Duration
	for range 1000 {
		began := time.Now()
		_ = h.Stop(context.Background(), "none") // which the host refuses: there is none
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	report("an order and its answer: median of 1,000", took[500])
	report("the same: 99th of a hundred", took[990])
}

// audit measures how soon the stream has what all hosts have to tell at once.
func audit(conn *bus.Conn, tell io.Writer, n, lines int) error {
	began := time.Now()
	if _, err := fmt.Fprintln(tell, "audit", lines); err != nil {
		return err
	}
	for {
		stream, err := conn.JS.Stream(context.Background(), fleet.AuditStream)
		if err != nil {
			return err
		}
		have := stream.CachedInfo().State.Msgs
		if have >= uint64(n*lines) {
			took := time.Since(began)
			fmt.Printf("| %d lines of the audit, of all hosts at once: the stream has them, a second | %.0f |\n", have, float64(have)/took.Seconds())
			return nil
		}
		time.Sleep(lookEvery)
	}
}
