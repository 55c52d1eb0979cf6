package capture

import (
	"encoding/binary"
	"fmt"
	"image"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/rfb"
)

// A lesser server stands before a real X server and denies what that has.
type lesser struct {
	without  []string             // extensions that aren't there
	with     []string             // extensions that are there, in name
	versions map[string][2]uint32 // of extensions
	dies     byte                 // the opcode of the request at which it closes the connection
	hangs    byte                 // and of that from which on it answers none
	size     atomic.Uint32        // of the screen, width<<16 | height; 0: the real one

	attached chan struct{} // closed when MIT-SHM's Attach is asked for, which then hangs; nil: it passes

	// By opcodes as in sentRequests: what is made of a request, the nth of its kind, from 1, and of its
	// reply; and of the server's answer to the set-up.
	asks    map[string]func(n int64, request []byte)
	replies map[string]func(reply []byte) []byte
	setup   func(answer []byte) []byte

	display, xauthority string
	sent                sync.Map     // of *atomic.Int64, by opcode: how many requests there were
	badMatches          atomic.Int64 // that the real server answered
	refusals            atomic.Int64 // BadAccess
}

// asked is how many requests of a kind there were.
func (l *lesser) asked(opcode string) int64 {
	n, _ := l.sent.LoadOrStore(opcode, new(atomic.Int64))
	return n.(*atomic.Int64).Load()
}

// count counts a request.
func (l *lesser) count(opcode string) int64 {
	n, _ := l.sent.LoadOrStore(opcode, new(atomic.Int64))
	return n.(*atomic.Int64).Add(1)
}

// serve begins to listen, as a display of its own, until the test ends.
func (l *lesser) serve(t *testing.T, d *testhost.Desktop) {
	t.Helper()
	var ln net.Listener
	for number := 64100; ln == nil; number++ {
		require.Less(t, number, 64900, "no display is free")
		ln, _ = net.Listen("unix", fmt.Sprintf("/tmp/.X11-unix/X%d", number))
		l.display = fmt.Sprintf(":%d", number)
	}
	data, err := os.ReadFile(d.Xauthority)
	require.NoError(t, err)
	const cookie = 16
	entry := "\xff\xff\x00\x00\x00\x00\x00\x12MIT-MAGIC-COOKIE-1\x00\x10" + string(data[len(data)-cookie:])
	l.xauthority = filepath.Join(t.TempDir(), "authority")
	require.NoError(t, os.WriteFile(l.xauthority, []byte(entry), 0o600))
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", "/tmp/.X11-unix/X"+strings.TrimPrefix(d.Display, ":"))
			if !assert.NoError(t, err) {
				client.Close()
				return
			}
			w := &lesserConn{lesser: l, questions: map[uint16]string{}, replied: map[uint16]string{}, majors: map[byte]string{}}
			end := func() { client.Close(); server.Close() }
			wg.Go(func() { defer end(); w.requests(server, client) })
			wg.Go(func() { defer end(); w.answers(client, server) })
		}
	})
	t.Cleanup(func() { ln.Close(); d.Close(); wg.Wait() })
}

// A lesserConn is one connection.
type lesserConn struct {
	*lesser
	mu        sync.Mutex
	questions map[uint16]string // by sequence number: "?NAME" whether NAME is there, "NAME" which version
	replied   map[uint16]string // by sequence number: the opcode of what has a function in replies
	majors    map[byte]string   // of the extensions that were found
}

const (
	theSize        = "the screen's size" // in questions
	queryExtension = 98
	queryPointer   = "38"
)

// queryVersion are the minor opcodes by which versions are asked for, where that isn't 0.
var queryVersion = map[string]byte{"XInputExtension": 47}

// requests passes on what the client asks, and notes what is about extensions.
func (w *lesserConn) requests(to io.Writer, from io.Reader) {
	head := make([]byte, 12)
	if _, err := io.ReadFull(from, head); err != nil {
		return
	}
	padded := func(n uint16) int64 { return int64(n+3) &^ 3 }
	_, _ = to.Write(head)
	if _, err := io.CopyN(to, from, padded(binary.LittleEndian.Uint16(head[6:]))+padded(binary.LittleEndian.Uint16(head[8:]))); err != nil {
		return
	}
	for sequence := uint16(1); ; sequence++ {
		const getGeometry = 14
		request := make([]byte, 4)
		if _, err := io.ReadFull(from, request); err != nil {
			return
		}
		request = append(request, make([]byte, 4*int(binary.LittleEndian.Uint16(request[2:]))-4)...)
		if _, err := io.ReadFull(from, request[4:]); err != nil {
			return
		}
		switch request[0] {
		case w.dies:
			return
		case w.hangs:
			_, _ = io.Copy(io.Discard, from)
			return
		}
		w.mu.Lock()
		opcode := strconv.Itoa(int(request[0]))
		if request[0] >= 128 {
			opcode = fmt.Sprint(w.majors[request[0]], " ", request[1])
		}
		n := w.count(opcode)
		if change := w.asks[opcode]; change != nil {
			change(n, request)
		}
		if w.replies[opcode] != nil {
			w.replied[sequence] = opcode
		}
		if opcode == "MIT-SHM 1" && w.attached != nil {
			w.mu.Unlock()
			close(w.attached)
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if request[0] == getGeometry {
			w.questions[sequence] = theSize
		} else if request[0] == queryExtension {
			w.questions[sequence] = "?" + string(request[8:8+binary.LittleEndian.Uint16(request[4:])])
		} else if name := w.majors[request[0]]; name != "" && request[1] == queryVersion[name] {
			w.questions[sequence] = name
		}
		w.mu.Unlock()
		if _, err := to.Write(request); err != nil {
			return
		}
	}
}

// answers passes on what the server sends, and changes what is about extensions.
func (w *lesserConn) answers(to io.Writer, from io.Reader) {
	const reply, generic, badMatch, badAccess = 1, 35, 8, 10
	head := make([]byte, 8)
	if _, err := io.ReadFull(from, head); err != nil {
		return
	}
	answer := append(head, make([]byte, 4*int(binary.LittleEndian.Uint16(head[6:])))...)
	if _, err := io.ReadFull(from, answer[len(head):]); err != nil {
		return
	}
	if w.setup != nil {
		answer = w.setup(answer)
	}
	_, _ = to.Write(answer)
	for {
		packet := make([]byte, 32)
		if _, err := io.ReadFull(from, packet); err != nil {
			return
		}
		if packet[0] == 0 && packet[1] == badMatch {
			w.badMatches.Add(1)
		}
		if packet[0] == 0 && packet[1] == badAccess {
			w.refusals.Add(1)
		}
		if packet[0] == reply || packet[0]&0x7f == generic {
			packet = append(packet, make([]byte, 4*int(binary.LittleEndian.Uint32(packet[4:])))...)
			if _, err := io.ReadFull(from, packet[32:]); err != nil {
				return
			}
		}
		if packet[0] == reply {
			w.change(packet)
			packet = w.replace(packet)
		}
		if _, err := to.Write(packet); err != nil {
			return
		}
	}
}

// replace is what is sent in place of a reply.
func (w *lesserConn) replace(packet []byte) []byte {
	sequence := binary.LittleEndian.Uint16(packet[2:])
	w.mu.Lock()
	opcode, ok := w.replied[sequence]
	delete(w.replied, sequence)
	w.mu.Unlock()
	if !ok {
		return packet
	}
	return w.replies[opcode](packet)
}

// change changes an answer.
func (w *lesserConn) change(packet []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sequence := binary.LittleEndian.Uint16(packet[2:])
	name := w.questions[sequence]
	delete(w.questions, sequence)
	name, existence := strings.CutPrefix(name, "?")
	version, known := w.versions[name]
	size := w.size.Load()
	switch {
	case name == theSize && size != 0:
		binary.LittleEndian.PutUint16(packet[16:], uint16(size>>16))
		binary.LittleEndian.PutUint16(packet[18:], uint16(size))
	case existence && slices.Contains(w.without, name):
		packet[8], packet[9] = 0, 0
	case existence && slices.Contains(w.with, name):
		packet[8], packet[9] = 1, 250
	case existence:
		w.majors[packet[9]] = name
	case known && (name == "MIT-SHM" || name == "XInputExtension"):
		binary.LittleEndian.PutUint16(packet[8:], uint16(version[0]))
		binary.LittleEndian.PutUint16(packet[10:], uint16(version[1]))
	case known:
		binary.LittleEndian.PutUint32(packet[8:], version[0])
		binary.LittleEndian.PutUint32(packet[12:], version[1])
	}
}

// Whatever an X server lacks, the picture is the screen's, and what is lacking is said.
func TestLesserServers(t *testing.T) {
	v := func(name string, major, minor uint32) map[string][2]uint32 {
		return map[string][2]uint32{name: {major, minor}}
	}
	for name, c := range map[string]struct {
		*lesser
		lacks   string // empty: nothing
		pointer bool   // is seen
		monitor bool   // can be chosen
	}{
		"XFIXES":      {&lesser{without: []string{"XFIXES"}}, "lacks XFIXES: the whole picture is compared ten times a second, and the pointer isn't shown", false, true},
		"XFIXES 2":    {&lesser{versions: v("XFIXES", 1, 0)}, "lacks XFIXES 2:", false, true},
		"DAMAGE":      {&lesser{without: []string{"DAMAGE"}}, "lacks DAMAGE: the whole picture is compared ten times a second", true, true},
		"XInput":      {&lesser{without: []string{"XInputExtension"}}, "lacks XInput: where the pointer is is asked five times a second", true, true},
		"XInput 2.1":  {&lesser{versions: v("XInputExtension", 1, 5)}, "lacks XInput 2.1:", true, true},
		"RANDR 1.5":   {&lesser{versions: v("RANDR", 1, 4)}, "lacks RANDR 1.5: each output is a monitor", true, true},
		"RANDR 1.3":   {&lesser{versions: v("RANDR", 1, 2)}, "lacks RANDR 1.5: each output is a monitor", true, true},
		"RANDR 1.2":   {&lesser{versions: v("RANDR", 1, 1)}, "lacks RANDR 1.2: single monitors can't be shown", true, false},
		"MIT-SHM":     {&lesser{without: []string{"MIT-SHM"}}, "lacks MIT-SHM: the picture comes over the connection, five times a second at most", true, true},
		"MIT-SHM 1.2": {&lesser{versions: v("MIT-SHM", 1, 1)}, "", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := testhost.Require(t, testhost.Options{Identity: own(), Width: 400, Height: 300})
			require.NoError(t, d.SetRoot(t.Context(), "#336699"))
			require.NoError(t, d.Move(t.Context(), 100, 100))
			p := newPainter(t, d, image.Rect(10, 10, 60, 60)) // before d is closed
			l := c.lesser
			l.serve(t, d)
			r := watch(t, d, rawOnly, "--display", l.display, "--xauthority", l.xauthority, "--pointer=false")
			r.ask(t, false)
			r.update(t)
			r.settled(t, d)
			p.fill(image.Rect(5, 5, 45, 45), 0xff00ff)
			r.settled(t, d)
			said := r.stderr.String()
			if c.lacks == "" {
				assert.NotContains(t, said, "lacks")
			} else {
				assert.Contains(t, said, c.lacks)
				assert.Equal(t, 1, strings.Count(said, "the X server lacks"), said)
			}

			with := watch(t, d, rawOnly, "--display", l.display, "--xauthority", l.xauthority)
			with.ask(t, false)
			with.update(t)
			require.NoError(t, d.Move(t.Context(), 300, 200))
			want, err := d.Screenshot(t.Context())
			require.NoError(t, err)
			for c.pointer {
				if n, where := with.wrong(want); n > 0 && where.In(image.Rect(280, 180, 330, 230)) {
					break
				}
				with.ask(t, true)
				with.update(t)
			}
			if !c.pointer {
				with.settled(t, d)
			}

			one := start(t, d, "--display", l.display, "--xauthority", l.xauthority, "--monitor", "1")
			if c.monitor {
				one.greet(t)
				assert.Equal(t, image.Pt(400, 300), one.size)
			} else {
				assert.Equal(t, ExitFailed, one.ends(t))
				assert.Contains(t, one.stderr.String(), `no monitor "1"; there are none`)
			}
			l.sent.Range(func(opcode, _ any) bool {
				assert.Contains(t, sentRequests, opcode, "what does this do to the session?")
				return true
			})
		})
	}
}

// Where the X server has other shared memory than this process, as in another container, the picture comes over
// the connection.
func TestOtherSharedMemory(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
	l := &lesser{versions: map[string][2]uint32{"MIT-SHM": {1, 1}}}
	l.serve(t, d)
	r := startAs(t, d, otherMemoryArg, "--display", l.display, "--xauthority", l.xauthority, "--pointer=false")
	r.greet(t)
	r.say(t, &rfb.SetEncodings{Encodings: rawOnly})
	r.ask(t, false)
	r.update(t)
	r.settled(t, d)
	assert.Contains(t, r.stderr.String(), "memory can't be shared with the X server")
	require.NoError(t, d.SetRoot(t.Context(), "#336699"))
	r.settled(t, d)
}

// Where the pointer is is asked at most 30 times a second while it moves, and at rest five times, or once where the
// server tells of motion.
func TestPointerIsAskedForSeldom(t *testing.T) {
	const most, rest, told = 30, 5, 1
	for name, c := range map[string]struct {
		without []string
		resting int64
	}{"told of motion": {nil, told}, "not told": {[]string{"XInputExtension"}, rest}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
			l := &lesser{without: c.without}
			l.serve(t, d)
			r := watch(t, d, []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingCursor, rfb.EncodingPointerPos}, "--display", l.display, "--xauthority", l.xauthority)
			r.ask(t, false)
			r.update(t)
			// bounded has some time pass and compares with what may be asked for in it.
			bounded := func(rate int64, pass func()) {
				t.Helper()
				began, before := time.Now(), l.asked(queryPointer)
				pass()
				asked := l.asked(queryPointer) - before
				assert.LessOrEqual(t, float64(asked), float64(rate)*time.Since(began).Seconds()+2)
			}
			bounded(most, func() {
				for i := range 20 {
					require.NoError(t, d.Move(t.Context(), 20+10*i, 50))
					for r.at != image.Pt(20+10*i, 50) {
						r.ask(t, true)
						r.update(t)
					}
				}
			})
			r.ask(t, true)
			time.Sleep(restAfter + 200*time.Millisecond) // what is measured is time
			bounded(c.resting, func() { time.Sleep(1500 * time.Millisecond) })
		})
	}
}

// An X server that dies, or hangs, before the display is known, keeps nothing, and neither does it a
// viewer that leaves.
func TestServerFailsInSetUp(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
	for _, check := range []string{"--check", "--pointer"} {
		dying := &lesser{dies: queryExtension}
		dying.serve(t, d)
		r := start(t, d, "--display", dying.display, "--xauthority", dying.xauthority, check)
		assert.Equal(t, ExitGone, r.ends(t), r.stderr.String())
		assert.Equal(t, "shadowd capture: the X server has closed the connection\n", r.stderr.String())
	}
	hanging := &lesser{hangs: queryExtension}
	hanging.serve(t, d)
	stays := start(t, d, "--display", hanging.display, "--xauthority", hanging.xauthority)
	looks := start(t, d, "--display", hanging.display, "--xauthority", hanging.xauthority, "--check")
	leaves := start(t, d, "--display", hanging.display, "--xauthority", hanging.xauthority)
	leaves.Close()
	assert.Equal(t, ExitDone, leaves.ends(t))
	for _, r := range []*running{stays, looks} {
		assert.Equal(t, ExitGone, r.ends(t))
		assert.Contains(t, r.stderr.String(), "the X server of display "+hanging.display+" doesn't answer")
	}
}

// A screen that is too large for the memory that a capture may take is refused, at first and when it has grown.
func TestTooLarge(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
	l := &lesser{}
	l.serve(t, d)
	args := []string{"--display", l.display, "--xauthority", l.xauthority, "--pointer=false"}
	r := watch(t, d, []rfb.Encoding{rfb.EncodingRaw, rfb.EncodingDesktopSize}, args...)
	r.ask(t, false)
	r.update(t)
	for name, size := range map[string]uint32{"16385x16384": 16385<<16 | 16384, "17000x3000": 17000<<16 | 3000, "40000x1": 40000<<16 | 1} {
		l.size.Store(size)
		late := start(t, d, append(args, "--check")...)
		assert.Equal(t, ExitLarge, late.ends(t), name)
		assert.Contains(t, late.stderr.String(), "the picture has "+name+" pixels")
	}
	r.ask(t, true)
	_, _ = d.Run(t.Context(), "xrandr", "--fb", "300x200") // it looks at the size
	assert.Equal(t, ExitLarge, r.ends(t))
}

// A kill while the X server takes its time to share the memory leaves none behind.
func TestKilledBeforeMemoryIsShared(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
	l := &lesser{versions: map[string][2]uint32{"MIT-SHM": {1, 1}}, attached: make(chan struct{})}
	l.serve(t, d)
	r := start(t, d, "--display", l.display, "--xauthority", l.xauthority)
	select {
	case <-l.attached:
	case <-time.After(patience):
		require.Fail(t, "no memory was to be shared")
	}
	segments := func() (n int) {
		table, err := os.ReadFile("/proc/sysvipc/shm")
		require.NoError(t, err)
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); len(f) > 4 && f[4] == strconv.Itoa(r.proc.PID()) {
				n++
			}
		}
		return n
	}
	require.Equal(t, 1, segments())
	require.NoError(t, syscall.Kill(r.proc.PID(), syscall.SIGKILL))
	assert.Equal(t, -1, r.ends(t))
	assert.Zero(t, segments())
}

// The primary output comes first, also without RANDR 1.5.
func TestPrimaryOutput(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
	l := &lesser{versions: map[string][2]uint32{"RANDR": {1, 4}}}
	l.serve(t, d)
	for _, primary := range []string{"--primary", "--noprimary"} {
		draw(t, d, "xrandr --output screen "+primary)
		out, err := exec.Command("/proc/self/exe", Arg, "--display", l.display, "--xauthority", l.xauthority, "--check").Output()
		require.NoError(t, err)
		assert.Equal(t, primary == "--primary", strings.Contains(string(out), `"primary":true`), string(out))
	}
}
