// Pace measures what a relay costs where people work: somebody types, or a terminal scrolls, and an
// RFB server writes each update rectangle by rectangle as x11vnc does. For every peer it shows CPU,
// system calls and context switches (perf must be installed, as root), the time from an update's
// last byte to its arrival, and with FRAMES=1 in the environment the messages of an update.
//
//	go run ./tools/pace "python=/usr/bin/websockify LISTEN TARGET" "ours=bin/websockify --view-only LISTEN TARGET"
package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A load is how often the screen changes, and how an update is written.
type load struct {
	name  string
	rate  int           // updates a second
	rects int           // rectangles of an update, each a write of its own
	gap   time.Duration // between the writes
}

var loads = []load{{"typing", 20, 2, 150 * time.Microsecond}, {"scroll", 30, 20, 150 * time.Microsecond}}

const rectSize = 12 + 100

func main() {
	secs := flag.Duration("d", 4*time.Second, "how long each is measured")
	rounds := flag.Int("rounds", 3, "rounds; each runs every peer once, medians are shown")
	only := flag.String("loads", "typing,scroll", "loads to run")
	flag.Parse()
	type key struct{ n, l string }
	got := map[key][]result{}
	var order []key
	for r := 0; r < *rounds; r++ {
		for _, l := range loads {
			if !strings.Contains(*only, l.name) {
				continue
			}
			for _, a := range flag.Args() {
				name, cmd, _ := strings.Cut(a, "=")
				res := run(cmd, l, *secs)
				k := key{name, l.name}
				if got[k] == nil {
					order = append(order, k)
				}
				got[k] = append(got[k], res)
			}
		}
	}
	fmt.Printf("%-10s %-8s %8s %8s %9s %9s %8s %8s %6s\n", "peer", "load", "cpu ms/s", "us/upd", "sys/upd", "csw/upd", "p50 us", "p95 us", "upd/s")
	for _, k := range order {
		m := func(f func(result) float64) float64 {
			var v []float64
			for _, r := range got[k] {
				v = append(v, f(r))
			}
			slices.Sort(v)
			return v[len(v)/2]
		}
		fmt.Printf("%-10s %-8s %8.2f %8.0f %9.1f %9.1f %8.0f %8.0f %6.1f\n", k.n, k.l, m(func(r result) float64 { return r.cpu }), m(func(r result) float64 { return r.cpu * 1000 / r.ups }),
			m(func(r result) float64 { return r.sys }), m(func(r result) float64 { return r.csw }), m(func(r result) float64 { return r.p50 }), m(func(r result) float64 { return r.p95 }), m(func(r result) float64 { return r.ups }))
	}
}

// A result is of one peer with one load: milliseconds of CPU a second, system calls and context
// switches an update, microseconds, updates a second.
type result struct{ cpu, sys, csw, p50, p95, ups float64 }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// run starts a peer between a server and a viewer of its own.
func run(cmdline string, l load, d time.Duration) (res result) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer ln.Close()
	tmp, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	listen := tmp.Addr().String()
	tmp.Close()
	args := strings.Fields(strings.NewReplacer("LISTEN", listen, "TARGET", ln.Addr().String()).Replace(cmdline))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	check(cmd.Start())
	defer func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() }()
	var last atomic.Int64 // when the last byte of an update was written
	go server(ln, l, &last)
	var c net.Conn
	for i := 0; ; i++ {
		c, err = net.Dial("tcp", listen)
		if err == nil {
			break
		}
		if i > 300 {
			panic(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /websockify HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n")
	w := &ws{r: bufio.NewReaderSize(c, 1<<16), c: c}
	for {
		line, err := w.r.ReadString('\n')
		check(err)
		if line == "\r\n" {
			break
		}
	}
	w.readN(12)
	w.send([]byte("RFB 003.008\n"))
	n := w.readN(1)[0]
	w.readN(int(n))
	w.send([]byte{1})
	w.readN(4)
	w.send([]byte{1})
	b := w.readN(24)
	w.readN(int(binary.BigEndian.Uint32(b[20:])))
	w.send([]byte{0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0})
	w.send([]byte{2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x21})
	req := []byte{3, 1, 0, 0, 0, 0, 4, 0, 3, 0}
	w.send([]byte{3, 0, 0, 0, 0, 0, 4, 0, 3, 0})
	size := 4 + l.rects*rectSize
	var lat []float64
	frames0 := 0
	var perf *exec.Cmd
	perfOut, _ := os.CreateTemp("", "perf")
	defer os.Remove(perfOut.Name())
	var start time.Time
	var cpu0 time.Duration
	pids := func() []int { return group(cmd.Process.Pid) }
	count := 0
	for {
		w.readN(size)
		now := time.Now().UnixNano()
		w.send(req)
		if start.IsZero() && count == 20 {
			var list []string
			for _, p := range pids() {
				list = append(list, strconv.Itoa(p))
			}
			perf = exec.Command("perf", "stat", "-x,", "-o", perfOut.Name(), "-e", "raw_syscalls:sys_enter,context-switches", "-p", strings.Join(list, ","))
			check(perf.Start())
			time.Sleep(500 * time.Millisecond)
			cpu0 = cpuOf(pids())
			start = time.Now()
			count = 0
			frames0 = w.frames
			continue
		}
		count++
		if start.IsZero() {
			continue
		}
		lat = append(lat, float64(now-last.Load())/1000)
		if time.Since(start) > d {
			break
		}
	}
	el := time.Since(start)
	res.cpu = float64(cpuOf(pids())-cpu0) / 1e6 / el.Seconds()
	res.ups = float64(count) / el.Seconds()
	perf.Process.Signal(os.Interrupt)
	perf.Wait()
	out, _ := os.ReadFile(perfOut.Name())
	for line := range strings.Lines(string(out)) {
		f := strings.Split(line, ",")
		if len(f) < 3 {
			continue
		}
		v, _ := strconv.ParseFloat(f[0], 64)
		switch {
		case strings.Contains(f[2], "sys_enter"):
			res.sys = v / (float64(count) + 0.5*res.ups)
		case strings.Contains(f[2], "context"):
			res.csw = v / (float64(count) + 0.5*res.ups)
		}
	}
	slices.Sort(lat)
	res.p50, res.p95 = lat[len(lat)/2], lat[len(lat)*95/100]
	if os.Getenv("FRAMES") != "" {
		fmt.Printf("%s frames/update %.1f\n", l.name, float64(w.frames-frames0)/float64(count))
	}
	return res
}

// A ws is the viewer's end: a WebSocket client whose frames have the mask 0.
type ws struct {
	r      *bufio.Reader
	c      net.Conn
	buf    []byte
	frames int
}

func (w *ws) readN(n int) []byte {
	for len(w.buf) < n {
		var h [10]byte
		_, err := io.ReadFull(w.r, h[:2])
		check(err)
		size := int(h[1])
		switch size {
		case 126:
			io.ReadFull(w.r, h[:2])
			size = int(binary.BigEndian.Uint16(h[:2]))
		case 127:
			io.ReadFull(w.r, h[:8])
			size = int(binary.BigEndian.Uint64(h[:8]))
		}
		p := make([]byte, size)
		_, err = io.ReadFull(w.r, p)
		check(err)
		w.buf = append(w.buf, p...)
		w.frames++
	}
	b := w.buf[:n]
	w.buf = w.buf[n:]
	return b
}

func (w *ws) send(p []byte) {
	b := []byte{0x82, 0x80 | byte(len(p)), 0, 0, 0, 0}
	w.c.Write(append(b, p...))
}

// server is an RFB server that answers each request with an update in pieces.
func server(ln net.Listener, l load, last *atomic.Int64) {
	c, err := ln.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	r := bufio.NewReader(c)
	io.WriteString(c, "RFB 003.008\n")
	r.Discard(12)
	c.Write([]byte{1, 1})
	r.Discard(1)
	c.Write([]byte{0, 0, 0, 0})
	r.Discard(1)
	init := []byte{4, 0, 3, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 4, 't', 'e', 's', 't'}
	c.Write(init)
	requests := make(chan struct{}, 1000)
	go func() {
		for {
			t, err := r.ReadByte()
			if err != nil {
				close(requests)
				return
			}
			switch t {
			case 0:
				r.Discard(19)
			case 2:
				var h [3]byte
				io.ReadFull(r, h[:])
				r.Discard(4 * int(binary.BigEndian.Uint16(h[1:])))
			case 3:
				r.Discard(9)
				requests <- struct{}{}
			default:
				panic(t)
			}
		}
	}()
	tick := time.NewTicker(time.Second / time.Duration(l.rate))
	defer tick.Stop()
	head := []byte{0, 0, 0, 0}
	binary.BigEndian.PutUint16(head[2:], uint16(l.rects))
	for range requests {
		<-tick.C
		for i := 0; i < l.rects; i++ {
			b := make([]byte, 0, 200)
			if i == 0 {
				b = append(b, head...)
			}
			b = append(b, 0, 0, 0, 0, 0, 5, 0, 5, 0, 0, 0, 0)
			b = append(b, make([]byte, 100)...)
			if i == l.rects-1 {
				last.Store(time.Now().UnixNano())
			}
			if _, err := c.Write(b); err != nil {
				return
			}
			if i < l.rects-1 {
				for s := time.Now(); time.Since(s) < l.gap; {
				}
			}
		}
	}
}
