package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A viewLoad is what is viewed: each of some views gets a message of some bytes so many times a second, and
// asks for the next as noVNC does. A rate of 0 is as much as goes through, to viewers that only take it.
type viewLoad struct {
	name  string
	views int
	size  int // bytes of a message, its frame's header included
	rate  int // messages a second of each
}

var viewLoads = []viewLoad{
	{"typing", 50, 60, 20},
	{"scrolling", 50, 400, 30},
	{"video", 10, 45_000, 25},
	{"bulk", 1, 64 << 10, 0},
	{"bulk8", 8, 64 << 10, 0},
}

const haproxyHTTP = "global\n maxconn 4000\ndefaults\n mode http\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n timeout tunnel 1h\nlisten l\n bind {listen}%s\n server t {target}\n"

// viewPeers carry views: the console, and HAProxy in HTTP mode.
func viewPeers(views int) []Peer {
	n := fmt.Sprint(views)
	return []Peer{
		{Name: "gate", Kind: "ws", Subprotocol: "binary",
			Cmd:    []string{"{self}", "gate", "-listen", "{listen}", "-target", "{target}", "-dir", "{dir}", "-views", n},
			TLSCmd: []string{"{self}", "gate", "-listen", "{listen}", "-target", "{target}", "-dir", "{dir}", "-views", n, "-cert", "{cert}", "-key", "{key}"}},
		{Name: "haproxy", Kind: "ws", Subprotocol: "binary",
			Cmd: []string{"/usr/sbin/haproxy", "-db", "-f", "{dir}/plain.cfg"}, TLSCmd: []string{"/usr/sbin/haproxy", "-db", "-f", "{dir}/tls.cfg"},
			Files: map[string]string{"plain.cfg": fmt.Sprintf(haproxyHTTP, ""), "tls.cfg": fmt.Sprintf(haproxyHTTP, " ssl crt {pem} alpn h2,http/1.1")}},
	}
}

// viewsMain compares the console with HAProxy in HTTP mode, and prints what go test -bench prints.
func viewsMain(args []string) {
	fs := flag.NewFlagSet("views", flag.ExitOnError)
	rounds := fs.Int("rounds", 3, "rounds; each runs both peers once")
	duration := fs.Duration("duration", 1500*time.Millisecond, "how long each load is measured")
	crowd := fs.Int("crowd", 500, "views whose memory is measured")
	only := fs.String("loads", "", "comma-separated loads; empty: all, and the memory")
	transports := fs.String("transports", "ws,wss", "ws, wss or both")
	_ = fs.Parse(args)
	if os.Getenv(isolated) == "" {
		log.Fatal("bench: ", isolate())
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	certs, err := makeCert(dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, transport := range strings.Split(*transports, ",") {
		for _, load := range viewLoads {
			if *only != "" && !slices.Contains(strings.Split(*only, ","), load.name) {
				continue
			}
			if err := compareViews(load, transport == "wss", *rounds, *duration, certs); err != nil {
				log.Printf("bench: %s %s: %v", transport, load.name, err)
			}
		}
		if *only == "" {
			if err := crowdMemory(*crowd, transport == "wss", certs); err != nil {
				log.Printf("bench: %s memory: %v", transport, err)
			}
		}
	}
}

func transportOf(tls bool) string {
	if tls {
		return "wss"
	}
	return "ws"
}

// compareViews measures a load with each peer in turns, and prints medians and their ratios.
func compareViews(load viewLoad, tls bool, rounds int, d time.Duration, certs *certFiles) error {
	got := map[string][]float64{}
	for range rounds {
		for _, p := range viewPeers(load.views) {
			m, err := runViews(&p, load, tls, d, certs)
			if err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			for key, v := range m {
				got[p.Name+" "+key] = append(got[p.Name+" "+key], v)
			}
		}
	}
	line := fmt.Sprintf("BenchmarkViews/%s/%s \t %d", transportOf(tls), load.name, rounds)
	add := func(v float64, unit string) { line += fmt.Sprintf("\t%.4g %s", v, unit) }
	cost, unit := "cpu", "ms/s"
	if load.rate == 0 {
		cost, unit = "cpu_per_gb", "s/GB"
		add(median(got["gate gbps"])/median(got["haproxy gbps"]), "rate-ratio")
		add(median(got["gate gbps"]), "gate-GB/s")
		add(median(got["haproxy gbps"]), "haproxy-GB/s")
	}
	add(median(got["gate "+cost])/median(got["haproxy "+cost]), "cpu-ratio")
	add(median(got["gate "+cost]), "gate-cpu-"+unit)
	add(median(got["haproxy "+cost]), "haproxy-cpu-"+unit)
	fmt.Println(line)
	return nil
}

// runViews measures a load with a fresh process of one peer.
func runViews(p *Peer, load viewLoad, tls bool, d time.Duration, certs *certFiles) (metrics, error) {
	s, err := newScreens(load)
	if err != nil {
		return nil, err
	}
	defer s.close()
	x, err := startProxy(p, tls, s.target, certs, false)
	if err != nil {
		return nil, err
	}
	defer x.stop()
	clients, err := openViews(p, x, load.views, tls)
	if err != nil {
		return nil, err
	}
	var taken atomic.Int64
	var running sync.WaitGroup
	defer running.Wait()
	defer func() {
		for _, c := range clients {
			_ = c.tcp.Close()
		}
	}()
	for _, c := range clients {
		running.Go(func() { c.watch(load, &taken) })
	}
	s.begin()
	time.Sleep(d / 4) // the first of it isn't counted
	cpu, bytes, start := x.cpu(), taken.Load(), time.Now()
	time.Sleep(d)
	seconds := time.Since(start).Seconds()
	cpu, bytes = x.cpu()-cpu, taken.Load()-bytes
	if err := x.alive(); err != nil {
		return nil, err
	}
	if want := float64(load.views*load.rate*load.size) * seconds; load.rate > 0 && float64(bytes) < want*0.8 {
		log.Printf("bench: %s %s: only %.0f %% of the messages came: the machine is too busy", p.Name, load.name, 100*float64(bytes)/want)
	}
	gb := float64(bytes) / 1e9
	return metrics{"cpu": cpu / seconds * 1000, "gbps": gb / seconds, "cpu_per_gb": cpu / gb}, nil
}

// openViews connects to so many views.
func openViews(p *Peer, x *proxy, n int, tls bool) ([]*client, error) {
	lines := make([]string, n)
	if p.Name == "gate" {
		b, err := os.ReadFile(filepath.Join(x.dir, "views"))
		if err != nil {
			return nil, err
		}
		lines = strings.Split(string(b), "\n")
	}
	var list []*client
	for _, line := range lines[:n] {
		o := dialOptions{addr: x.addr, tls: tls, ws: true, path: "/websockify?token=t", subprotocol: p.Subprotocol, timeout: 3 * time.Minute}
		if token, path, ok := strings.Cut(line, " "); ok {
			o.path, o.header = path, "Authorization: Bearer "+token+"\r\n"
		}
		c, err := dial(o)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// updateAsked is a masked frame with one request for an update.
var updateAsked = append([]byte{0x82, 0x8a, 0, 0, 0, 0}, 3, 1, 0, 0, 0, 0, 7, 128, 4, 56)

// watch takes what is viewed until the connection ends.
func (c *client) watch(load viewLoad, taken *atomic.Int64) {
	if load.rate == 0 {
		for {
			n, err := recvDiscard(c.rc, 1<<20)
			if err != nil || n == 0 {
				return
			}
			taken.Add(int64(n))
		}
	}
	have := c.w - c.r
	buf := make([]byte, 64<<10)
	for {
		n, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		taken.Add(int64(n))
		for have += n; have >= load.size; have -= load.size {
			if _, err := c.nc.Write(updateAsked); err != nil {
				return
			}
		}
	}
}

// screens are the granted ports, on one address: a WebSocket server that sends a load.
type screens struct {
	load    viewLoad
	target  *target
	frames  *blob
	running sync.WaitGroup
	start   chan struct{}
	over    chan struct{}
}

func newScreens(load viewLoad) (*screens, error) {
	frame := make([]byte, load.size)
	frame[0] = 0x82
	switch n := load.size; {
	case n <= 127:
		frame[1] = byte(n - 2)
	case n <= 65535+4:
		frame[1] = 126
		binary.BigEndian.PutUint16(frame[2:], uint16(n-4))
	default:
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	b, err := newBlob(slices.Repeat(frame, max(1, (1<<20)/load.size)))
	if err != nil {
		return nil, err
	}
	t, err := newTarget("", b)
	if err != nil {
		return nil, err
	}
	s := &screens{load: load, target: t, frames: b, start: make(chan struct{}), over: make(chan struct{})}
	s.running.Go(func() {
		for {
			c, err := t.ln.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.serve(c.(*net.TCPConn)) })
		}
	})
	return s, nil
}

func (s *screens) begin() { close(s.start) }

func (s *screens) close() {
	close(s.over)
	s.target.close()
	s.running.Wait()
	_ = s.frames.file.Close()
}

// serve is one granted port's viewer.
func (s *screens) serve(c *net.TCPConn) {
	defer c.Close()
	in := bufio.NewReaderSize(c, 4096)
	r, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: binary\r\n\r\n",
		acceptOf(r.Header.Get("Sec-WebSocket-Key")))
	gone := make(chan struct{})
	s.running.Go(func() { defer close(gone); _, _ = io.Copy(io.Discard, in) })
	defer func() { _ = c.Close(); <-gone }()
	select {
	case <-s.start:
	case <-gone:
		return
	case <-s.over:
		return
	}
	if s.load.rate == 0 {
		_, _ = s.frames.sendLoop(c, -1, false)
		return
	}
	tick := time.NewTicker(time.Second / time.Duration(s.load.rate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := c.Write(s.frames.data[:s.load.size]); err != nil {
				return
			}
		case <-gone:
			return
		case <-s.over:
			return
		}
	}
}

// crowdMemory measures what a view holds that is quiet, beyond its sockets.
func crowdMemory(n int, tls bool, certs *certFiles) error {
	line := fmt.Sprintf("BenchmarkViews/%s/memory \t 1", transportOf(tls))
	for _, p := range viewPeers(n) {
		per, err := memoryOf(&p, n, tls, certs)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		line += fmt.Sprintf("\t%.4g %s-KiB/view", per, p.Name)
	}
	fmt.Println(line)
	return nil
}

func memoryOf(p *Peer, n int, tls bool, certs *certFiles) (float64, error) {
	load := viewLoad{views: n, size: 400, rate: 1}
	s, err := newScreens(load)
	if err != nil {
		return 0, err
	}
	defer s.close()
	x, err := startProxy(p, tls, s.target, certs, false)
	if err != nil {
		return 0, err
	}
	defer x.stop()
	before, _ := x.memory()
	clients, err := openViews(p, x, n, tls)
	if err != nil {
		return 0, err
	}
	var taken atomic.Int64
	var running sync.WaitGroup
	defer running.Wait()
	for _, c := range clients {
		defer c.tcp.Close()
		running.Go(func() { c.watch(load, &taken) })
	}
	s.begin()
	for end := time.Now().Add(time.Minute); taken.Load() < int64(3*n*load.size) && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond) // until each has had three messages
	}
	after, _ := x.memory()
	return (after - before) / float64(n), nil
}
