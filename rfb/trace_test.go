package rfb

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
)

// update is set by: go test ./rfb -update, and with -run Live to capture anew.
var updateFiles = flag.Bool("update", false, "write what the live servers send to testdata/traces, golden listings and docs/rfb.md")

// traces is where captured sessions are, SERVER-VERSION/SCENARIO.trace.gz.
const traces = "../testdata/traces"

const traceSuffix = ".trace.gz"

// A captured is a trace with what there is in it.
type captured struct {
	*Session
	shake         *Handshake
	format        PixelFormat // in force all the time
	one           bool        // it is
	encodings     []Encoding  // all that were asked for
	stream        []byte      // of the server after the handshake
	updates       int         // FramebufferUpdates in it
	width, height uint16      // at its end
}

// readTraces are all traces by name, read once; don't change them. There must
// be some.
func readTraces(t testing.TB) map[string]*captured {
	t.Helper()
	reading.Do(func() { all = readAll(t) })
	require.NotEmpty(t, all, "the traces can't be read")
	return all
}

var (
	reading sync.Once
	all     map[string]*captured
)

func readAll(t testing.TB) map[string]*captured {
	files, err := filepath.Glob(traces + "/*/*" + traceSuffix)
	require.NoError(t, err)
	require.NotEmpty(t, files, "no traces: go test ./rfb -run Live -update")
	all := make(map[string]*captured)
	for _, file := range files {
		f, err := os.Open(file)
		require.NoError(t, err)
		tr, err := Captures.Read(f)
		f.Close()
		require.NoError(t, err, file)
		name, err := filepath.Rel(traces, strings.TrimSuffix(file, traceSuffix))
		require.NoError(t, err)
		all[name] = examine(t, tr, name)
	}
	return all
}

// examine takes a trace apart, to its last byte.
func examine(t testing.TB, tr *Session, name string) *captured {
	t.Helper()
	c := &captured{Session: tr, one: true}
	var err error
	c.shake, err = tr.handshake()
	require.NoError(t, err, name)
	require.True(t, c.shake.Done(), name)
	c.format, c.width, c.height = c.shake.Init.Format, c.shake.Init.Width, c.shake.Init.Height
	require.NoError(t, Captures.Events(tr, func(e Event) {
		switch m := e.Message.(type) {
		case *SetPixelFormat:
			c.one = c.one && (c.updates == 0 || m.Format == c.format)
			c.format = m.Format
		case *SetEncodings:
			c.encodings = append(c.encodings, m.Encodings...)
		case *FramebufferUpdate:
			c.updates++
		}
		if r := e.Rectangle; r != nil && resizes(r) {
			c.width, c.height = r.Rect.Width, r.Rect.Height
		}
	}), name)
	c.stream = tr.Stream(FromServer)[c.shake.Len(FromServer):]
	return c
}

func resizes(r *Rectangle) bool {
	return r.Encoding == EncodingDesktopSize || r.Encoding == EncodingVMwareDisplayMode ||
		r.Encoding == EncodingExtendedDesktopSize && (r.Rect.X != 1 || r.Rect.Y == 0)
}

// viewOnly reports whether the relay asks for all of it.
func (c *captured) viewOnly() bool {
	for _, e := range c.encodings {
		if !rules.of(e).asks.allowed(true) {
			return false
		}
	}
	return true
}

// write writes a trace, packed without a time so that the same trace gives the
// same file.
func write(t testing.TB, tr *Session, server, scenario string) {
	t.Helper()
	file := filepath.Join(traces, server, scenario+traceSuffix)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	require.NoError(t, err)
	require.NoError(t, Captures.Write(z, tr))
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(file, packed.Bytes(), 0o644))
}

// walker is a new one for the trace: the relay's if that is enough.
func (c *captured) walker() (*walker, *agreed) {
	a := newAgreed(c.shake.Init.Width, c.shake.Init.Height)
	if !c.viewOnly() {
		return newInspector(a, c.format), a
	}
	a.allow(setOf(c.encodings...))
	return newWalker(a, c.format, 0), a
}

// seedTraces gives a fuzzer the beginnings of the traces. There must be some.
func seedTraces(f *testing.F, add func(*captured)) {
	f.Helper()
	all := readTraces(f)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range all {
			if !yield(name) {
				return
			}
		}
	}) {
		add(all[name])
	}
}

func TestTracesAreConsumedToTheLastByte(t *testing.T) {
	t.Parallel()
	for name, tr := range readTraces(t) {
		t.Run(name, func(t *testing.T) {
			if !tr.one { // a walker has one format, as a session of the relay has
				return
			}
			w, a := tr.walker()
			updates, err := countUpdates(w, bytes.Clone(tr.stream)) // byte by byte
			require.NoError(t, err)
			assert.GreaterOrEqual(t, updates, tr.updates)
			assert.True(t, w.between())
			width, height := a.framebuffer()
			assert.Equal(t, [2]uint16{tr.width, tr.height}, [2]uint16{width, height})

			for _, cut := range []string{"whole", "random1", "random2"} {
				w, _ := tr.walker()
				in := bytes.Clone(tr.stream)
				for _, n := range cuts(len(tr.stream))[cut] {
					_, err := w.walk(in[:n])
					require.NoError(t, err, cut)
					in = in[n:]
				}
				assert.True(t, w.between(), cut)
			}

			if n := len(tr.stream); n > 0 && w.between() && tr.stream[n-1] != byte(ServerBell) {
				w, _ = tr.walker()
				_, err = w.walk(bytes.Clone(tr.stream[:n-1]))
				require.NoError(t, err)
				assert.False(t, w.between(), "one byte less is not the end")
			}
		})
	}
}

// A scenario is what a viewer asks a live server for.
type scenario struct {
	name      string
	format    PixelFormat
	encodings []Encoding
	always    bool // played in every test run, not only to update the traces
	password  string
}

// Formats besides the pinned one.
var (
	format16 = PixelFormat{16, 16, false, true, 31, 63, 31, 11, 5, 0}
	format8  = PixelFormat{8, 8, false, true, 7, 7, 3, 0, 3, 6}
)

// scenarios are one for each encoding in each format, and some more.
func scenarios() (all []scenario) {
	for _, e := range []struct {
		name string
		Encoding
	}{
		{"raw", EncodingRaw}, {"rre", EncodingRRE}, {"corre", EncodingCoRRE}, {"hextile", EncodingHextile},
		{"zlib", EncodingZlib}, {"tight", EncodingTight}, {"zrle", EncodingZRLE},
	} {
		list := []Encoding{
			e.Encoding, EncodingCopyRect, EncodingLastRect, EncodingCursor, EncodingDesktopSize, EncodingDesktopName,
			EncodingCompress0 + 6,
		}
		always := e.Encoding == EncodingTight || e.Encoding == EncodingHextile
		all = append(all, scenario{name: e.name + "-32", format: pinned, encodings: list, always: always})
		all = append(all, scenario{name: e.name + "-16", format: format16, encodings: list}, scenario{name: e.name + "-8", format: format8, encodings: list})
		if e.Encoding == EncodingTight {
			all = append(all, scenario{name: "tight-jpeg-32", format: pinned, encodings: append(list, EncodingQuality0+6), always: true})
		}
	}
	return append(all, scenario{name: "cursors-32", format: pinned, always: true,
		encodings: []Encoding{EncodingZRLE, EncodingXCursor, EncodingPointerPos, EncodingLEDState}})
}

// A recorder is a connection to a server that remembers what is said.
type recorder struct {
	net.Conn
	begin time.Time
	mu    sync.Mutex
	trace Session
}

func newRecorder(conn net.Conn, server, note string) *recorder {
	return &recorder{Conn: conn, begin: time.Now(), trace: Session{Server: server, Viewer: "this package's tests", Note: note}}
}

func (r *recorder) note(from Direction, p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) > 0 {
		r.trace.Chunks = append(r.trace.Chunks, Chunk{from, time.Since(r.begin).Truncate(time.Millisecond), bytes.Clone(p)})
	}
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.note(FromServer, p[:n])
	return n, err
}

func (r *recorder) Write(p []byte) (int, error) {
	r.note(FromViewer, p)
	return r.Conn.Write(p)
}

// done is what was said, without what did not end.
func (r *recorder) done(t testing.TB) *Session {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.NoError(t, Captures.Trim(&r.trace))
	return &r.trace
}

// live plays a scenario with a server whose screen can be changed, and checks
// that its stream is followed to the end.
func live(t *testing.T, conn net.Conn, server string, s scenario, change func(step int)) *captured {
	rec := newRecorder(conn, server, s.name)
	c, err := (&Client{Password: s.password}).Connect(t.Context(), rec)
	require.NoError(t, err)
	return playOn(t, rec, c.Init, s, change)
}

// playOn is live after the handshake.
func playOn(t *testing.T, rec *recorder, init ServerInit, s scenario, change func(step int)) *captured {
	r := newReader(t, rec, init, s.format, s.encodings)
	say := func(b []byte) {
		_, err := rec.Write(b)
		require.NoError(t, err)
	}
	say(wire(t, SetPixelFormat{s.format}))
	say(wire(t, SetEncodings{s.encodings}))
	all := Rect{0, 0, init.Width, init.Height}
	say(wire(t, FramebufferUpdateRequest{Rect: all}))
	r.update()
	for step := range 4 {
		change(step)
		say(wire(t, FramebufferUpdateRequest{true, all}))
		r.update()
	}
	// The screen may have got another size.
	all.Width, all.Height = r.walker.agreed.framebuffer()
	say(wire(t, FramebufferUpdateRequest{Rect: all}))
	r.update()
	return examine(t, rec.done(t), s.name)
}

// colors are what the root window of a server is painted in, step by step.
var colors = []string{"#203040", "#ff8000", "#00c060", "#7050ff"}

func TestLiveX11vnc(t *testing.T) {
	t.Parallel()
	d := testhost.Require(t, testhost.Options{Width: 160, Height: 120})
	pictures(t, func(name string, args ...string) {
		_, err := d.Spawn(name, args...)
		require.NoError(t, err)
	}, func(name string, args ...string) {
		_, err := d.Run(t.Context(), name, args...)
		require.NoError(t, err)
	})
	server := "x11vnc-" + version(t, "x11vnc", "-version")
	change := func(step int) {
		require.NoError(t, d.SetRoot(t.Context(), colors[step]))
		require.NoError(t, d.Move(t.Context(), 10+40*step, 60))
	}
	play(t, server, func(t *testing.T, s scenario) *captured {
		conn, p := startX11vnc(t, d)
		tr := live(t, conn, server, s, change)
		conn.Close()
		exits(t, p)
		return tr
	})
	t.Run("version-3.889", func(t *testing.T) {
		conn, p := startX11vnc(t, d)
		s := scenario{name: "version-3.889", format: pinned, encodings: []Encoding{EncodingZRLE, EncodingCopyRect, EncodingCursor}}
		rec := newRecorder(conn, server, s.name)
		init := appleViewer(t, rec)
		tr := playOn(t, rec, init, s, change)
		conn.Close()
		exits(t, p)
		assert.Equal(t, versionApple, tr.shake.ViewerVersion)
		assert.Equal(t, init, tr.shake.Init)
		if *updateFiles {
			keep(t, tr, server, s)
		}
	})
}

// appleViewer is a viewer's half of the handshake as a libvncserver wants it of
// who announces Apple's version: neither a SecurityResult nor a ClientInit.
func appleViewer(t *testing.T, conn net.Conn) (init ServerInit) {
	t.Helper()
	p := newPeer(t, conn)
	p.sends(versionApple.message())
	p.gets(version38.message(), []byte{1, 1})
	p.sends([]byte{1})
	b := make([]byte, serverInitLen)
	_, err := io.ReadFull(p, b)
	require.NoError(t, err)
	b = append(b, make([]byte, be32(b[serverInitLen-4:]))...)
	_, err = io.ReadFull(p, b[serverInitLen:])
	require.NoError(t, err)
	require.NoError(t, init.UnmarshalBinary(b))
	return init
}

// The trace of it has what the desktop was, so that the handshake was read as
// the server meant it.
func TestTraceOfAViewerWithApplesVersion(t *testing.T) {
	var found bool
	for name, tr := range readTraces(t) {
		if !strings.HasSuffix(name, "/version-3.889") {
			continue
		}
		found = true
		h := tr.shake
		assert.Equal(t, [2]ProtocolVersion{version38, versionApple}, [2]ProtocolVersion{h.ServerVersion, h.ViewerVersion})
		assert.Equal(t, SecurityNone, h.Security)
		assert.True(t, h.Shared)
		assert.Equal(t, [2]uint16{160, 120}, [2]uint16{h.Init.Width, h.Init.Height})
		assert.Equal(t, PixelFormat{32, 24, false, true, 255, 255, 255, 16, 8, 0}, h.Init.Format)
		assert.Regexp(t, `:\d+$`, h.Init.Name, "x11vnc names the display")
		assert.GreaterOrEqual(t, tr.updates, 6)
	}
	assert.True(t, found, "no trace: go test ./rfb -run LiveX11vnc/version -update")
}

func TestLiveXvnc(t *testing.T) {
	t.Parallel()
	x := startXvnc(t, "160x120")
	pictures(t, func(name string, args ...string) { x.spawn(t, name, args...) },
		func(name string, args ...string) { x.do(t, name, args...) })
	change := func(step int) {
		x.do(t, "xsetroot", "-solid", colors[step])
		x.do(t, "xdotool", "mousemove", strconv.Itoa(10+40*step), "60")
	}
	server := "Xvnc-" + version(t, "Xvnc", "-version")
	play(t, server, func(t *testing.T, s scenario) *captured {
		return live(t, x.dial(t), server, s, change)
	})
	t.Run("resize", func(t *testing.T) {
		tr := live(t, x.dial(t), server, scenario{name: "resize-32", format: pinned,
			encodings: []Encoding{EncodingTight, EncodingDesktopSize, EncodingDesktopName, EncodingLastRect}}, func(step int) {
			switch step {
			case 1:
				x.do(t, "vncconfig", "-set", "desktop=another name")
			case 3:
				x.do(t, "xrandr", "-s", "640x480")
			default:
				change(step)
			}
		})
		assert.Equal(t, [2]uint16{640, 480}, [2]uint16{tr.width, tr.height})
		assert.Contains(t, string(tr.stream), "another name")
		if *updateFiles {
			write(t, tr.Session, server, "resize-32")
		}
	})
}

// play plays scenarios, all of them to update the traces.
func play(t *testing.T, server string, one func(*testing.T, scenario) *captured) {
	for _, s := range scenarios() {
		if !s.always && !*updateFiles {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			tr := one(t, s)
			assert.GreaterOrEqual(t, tr.updates, 6)
			if *updateFiles {
				write(t, tr.Session, server, s.name)
			}
		})
	}
}

// pictures puts something on a screen that isn't all of one colour: a
// terminal, and a picture with many colours.
func pictures(t *testing.T, spawn, do func(name string, args ...string)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "picture.xwd")
	require.NoError(t, os.Chmod(filepath.Dir(file), 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(file)), 0o755))
	require.NoError(t, os.WriteFile(file, xwd(64, 48), 0o644))
	spawn("xwud", "-in", file, "-geometry", "+80+60")
	spawn("xterm", "-geometry", "20x6+0+0", "-e", "sh", "-c", "echo one; echo two three; exec cat")
	for _, class := range []string{"xwud", "XTerm"} {
		do("xdotool", "search", "--sync", "--onlyvisible", "--class", class)
	}
}

// xwd is a picture in the format of xwd(1): half of it noise, half a gradient.
func xwd(width, height int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b []byte
	const header = 104 // 25 numbers and a name, empty and padded
	for _, v := range []int{
		header, 7, 2, 24, width, height, 0, 1, 32, 1, 32, 32, 4 * width, 4, 0xff0000, 0xff00, 0xff,
		8, 256, 0, width, height, 0, 0, 0,
	} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	b = append(b, 0, 0, 0, 0)
	for y := range height {
		for x := range width {
			if x < width/2 {
				b = binary.BigEndian.AppendUint32(b, r.Uint32()&0xffffff)
			} else {
				b = append(b, 0, byte(4*x), byte(4*y), byte(2*(x+y)))
			}
		}
	}
	return b
}

// golden compares text with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *updateFiles {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "do: go test ./rfb -update")
	assert.Equal(t, string(want), got, "%s; if it is to change: go test ./rfb -update", file)
}
