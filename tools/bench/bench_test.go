package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDirect runs the down and up scenarios without a proxy, comparing bytes.
func TestDirect(t *testing.T) {
	s := &settings{bytes: 8 << 20, duration: time.Second, frameW: 640, frameH: 480, verify: true, memLimit: 1024}
	p, err := makePayloads(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"down1", "down8", "up1", "upsmall"} {
		e := &env{payloads: p, s: s, peer: &Peer{Name: "direct", Kind: "direct"}}
		m, err := findScenario(name).run(e)
		e.finish()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if m["gbps"] <= 0 {
			t.Errorf("%s: no throughput", name)
		}
	}
}

// TestPeaks runs the scenarios in which one end stands still.
func TestPeaks(t *testing.T) {
	s := &settings{bytes: 8 << 20, duration: time.Second, frameW: 640, frameH: 480, memLimit: 1024, slowFor: 300 * time.Millisecond}
	p, err := makePayloads(s)
	require.NoError(t, err)
	for _, name := range []string{"slow", "stuck"} {
		e := &env{payloads: p, s: s, peer: &Peer{Name: "direct", Kind: "direct"}}
		_, err := findScenario(name).run(e)
		e.finish()
		assert.NoError(t, err, name)
	}
}

// TestFrames checks the client's frame reading however the bytes are cut up.
func TestFrames(t *testing.T) {
	var stream, want []byte
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 70000, 3} {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(i * n)
		}
		var f []byte // unmasked, as from a server
		switch {
		case n < 126:
			f = append(f, 0x82, byte(n))
		case n < 1<<16:
			f = append(f, 0x82, 126, byte(n>>8), byte(n))
		default:
			f = append(f, 0x82, 127, 0, 0, 0, 0, 0, byte(n>>16), byte(n>>8), byte(n))
		}
		stream = append(append(stream, f...), p...)
		want = append(want, p...)
	}
	for _, discard := range []bool{false, true} {
		for _, chunk := range []int{1000, 65536, len(stream)} {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				for b := stream; len(b) > 0; {
					n := min(chunk, len(b))
					c.Write(b[:n])
					b = b[n:]
				}
				c.Close()
			}()
			c, err := dial(dialOptions{addr: ln.Addr().String(), timeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			c.ws = true
			got, buf, cmp := 0, make([]byte, 5000), &comparer{want: want}
			for err == nil {
				var n int
				if discard {
					n, err = c.discard()
				} else if n, err = c.Read(buf); !cmp.check(buf[:n]) {
					t.Fatalf("chunk %d: bytes differ near %d", chunk, got)
				}
				got += n
			}
			if got != len(want) {
				t.Errorf("discard %v, chunk %d: got %d bytes of %d (%v)", discard, chunk, got, len(want), err)
			}
			c.tcp.Close()
			ln.Close()
		}
	}
}

// What is dropped is counted, and copied nowhere.
func TestDrop(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b, err := newBlob(bytes.Repeat([]byte("not to be seen"), 100_000))
	require.NoError(t, err)
	const sent = 50 << 20
	var sender sync.WaitGroup
	defer b.file.Close()
	defer sender.Wait()
	defer ln.Close()
	sender.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = b.sendLoop(c.(*net.TCPConn), sent, false)
			c.Close()
		}
	})
	for _, secure := range []bool{false, true} {
		c, err := dial(dialOptions{addr: ln.Addr().String(), timeout: 10 * time.Second})
		require.NoError(t, err)
		c.tls = secure // as far as discard can tell
		var got int
		for err == nil {
			var n int
			n, err = c.discard()
			got += n
		}
		c.tcp.Close()
		assert.Equal(t, io.EOF, err)
		assert.Equal(t, sent, got)
	}
	assert.Zero(t, bytes.Count(discardBuf[:], []byte("seen")))
}

func TestComparer(t *testing.T) {
	c := &comparer{want: []byte("abcde")}
	if !c.check([]byte("abcdeab")) || !c.check([]byte("cde")) {
		t.Error("good bytes refused")
	}
	if c.check([]byte("b")) {
		t.Error("bad byte taken")
	}
}

// The tables go between the marks, and the text around them stays.
func TestDocument(t *testing.T) {
	name := filepath.Join(t.TempDir(), "doc.md")
	require.NoError(t, os.WriteFile(name, []byte("before\n"+beginMark+"old\n"+endMark+"after\n"), 0o644))
	all := []sample{
		{Scenario: "up1", Peer: "wsproxy", Metrics: metrics{"gbps": 0.6}},
		{Scenario: "up1", Peer: "websockify-debian", Metrics: metrics{"gbps": 0.2}},
		{Scenario: "upsmall", Peer: "wsproxy", Metrics: metrics{"msgs": 9.5e6}},
	}
	require.NoError(t, writeDocument(name, all, "a machine", nil))
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Contains(t, string(b), "| ws up, 32 KB messages, raw: GB/s | websockify-debian | ≥ 2.80 × | 3.00 × | reached |")
	assert.Contains(t, string(b), "| ws up, 10-byte messages, raw |  | ≥ 10 million a second | 9.5 million a second | missed |")
	assert.True(t, strings.HasPrefix(string(b), "before\n") && strings.HasSuffix(string(b), "after\n"))
	assert.NotContains(t, string(b), "old")
	require.NoError(t, os.WriteFile(name, []byte("no marks"), 0o644))
	assert.Error(t, writeDocument(name, all, "", nil))
}

func TestDescribeRounds(t *testing.T) {
	assert.Equal(t, "1 round of 1s, medians (reqresp and latency: 3 rounds, each a third as long; a slow end, a message of 1 TiB, half a request line: 1 round).",
		describeRounds(1, time.Second))
	assert.Contains(t, describeRounds(5, time.Second), "5 rounds of 1s, medians (reqresp and latency: 15 rounds, each a third as long;")
}
