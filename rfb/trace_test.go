package rfb

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testhost"
)

// updateTraces is set by: go test ./rfb -run Live -update
var updateTraces = flag.Bool("update", false, "write what the live servers send to testdata/traces")

// traces is where captured streams are: SERVER-VERSION/SCENARIO.json says what
// was agreed, SCENARIO.s2c.gz is what the server sent after its ServerInit.
const traces = "../testdata/traces"

// A trace is what was agreed for a captured stream, and what there is in it.
type trace struct {
	Width, Height uint16 // at the start
	Format        PixelFormat
	Encodings     []Encoding
	Updates       int       // FramebufferUpdates in the stream
	Size          [2]uint16 // width and height at its end
	stream        []byte
}

// readTraces reads all traces by name. There must be some.
func readTraces(t testing.TB) map[string]trace {
	t.Helper()
	files, err := filepath.Glob(traces + "/*/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files, "no traces: go test ./rfb -run Live -update")
	all := make(map[string]trace)
	for _, file := range files {
		var tr trace
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &tr), file)
		base := file[:len(file)-len(".json")]
		packed, err := os.ReadFile(base + ".s2c.gz")
		require.NoError(t, err)
		z, err := gzip.NewReader(bytes.NewReader(packed))
		require.NoError(t, err)
		tr.stream, err = io.ReadAll(z)
		require.NoError(t, err)
		name, err := filepath.Rel(traces, base)
		require.NoError(t, err)
		all[name] = tr
	}
	return all
}

// write writes a trace, its stream packed without a time so that the same
// stream gives the same file.
func (tr trace) write(t testing.TB, server, scenario string) {
	t.Helper()
	base := filepath.Join(traces, server, scenario)
	require.NoError(t, os.MkdirAll(filepath.Dir(base), 0o755))
	b, err := json.Marshal(tr)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(base+".json", append(b, '\n'), 0o644))
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	require.NoError(t, err)
	_, err = z.Write(tr.stream)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(base+".s2c.gz", packed.Bytes(), 0o644))
}

// walker is a new one for the trace.
func (tr trace) walker() (*walker, *agreed) {
	a := newAgreed(tr.Width, tr.Height)
	for _, e := range tr.Encodings {
		a.allow(encodingBit(e))
	}
	return newWalker(a, tr.Format, ViewOnly, 0), a
}

// seedTraces gives a fuzzer the beginnings of the traces in the pinned format.
func seedTraces(f *testing.F) {
	for _, tr := range readTraces(f) {
		if tr.Format == pinned {
			f.Add(tr.stream[:min(len(tr.stream), 8<<10)], uint16(100))
		}
	}
}

func TestTracesAreConsumedToTheLastByte(t *testing.T) {
	for name, tr := range readTraces(t) {
		t.Run(name, func(t *testing.T) {
			w, a := tr.walker()
			updates, err := countUpdates(w, bytes.Clone(tr.stream))
			require.NoError(t, err)
			assert.Equal(t, tr.Updates, updates)
			assert.True(t, w.between())
			width, height := a.framebuffer()
			assert.Equal(t, tr.Size, [2]uint16{width, height})

			for cut, parts := range cuts(len(tr.stream)) {
				w, _ := tr.walker()
				in := bytes.Clone(tr.stream)
				for _, n := range parts {
					_, err := w.walk(in[:n])
					require.NoError(t, err, cut)
					in = in[n:]
				}
				assert.True(t, w.between(), cut)
			}

			w, _ = tr.walker()
			_, err = w.walk(bytes.Clone(tr.stream[:len(tr.stream)-1]))
			require.NoError(t, err)
			assert.False(t, w.between(), "one byte less is not the end")
		})
	}
}

// A scenario is what a viewer asks a live server for.
type scenario struct {
	name      string
	format    PixelFormat
	encodings []Encoding
	always    bool // played in every test run, not only to update the traces
}

// Formats besides the pinned one.
var (
	format16 = PixelFormat{16, 16, false, true, 31, 63, 31, 11, 5, 0}
	format8  = PixelFormat{8, 8, false, true, 7, 7, 3, 0, 3, 6}
)

// scenarios are one for each encoding, and the compact ones in other formats.
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
		all = append(all, scenario{e.name + "-32", pinned, list, always})
		if e.Encoding != EncodingRaw && e.Encoding != EncodingZRLE {
			all = append(all, scenario{e.name + "-16", format16, list, false}, scenario{e.name + "-8", format8, list, false})
		}
		if e.Encoding == EncodingTight {
			all = append(all, scenario{"tight-jpeg-32", pinned, append(list, EncodingQuality0+6), true})
		}
	}
	return append(all, scenario{"cursors-32", pinned,
		[]Encoding{EncodingZRLE, EncodingXCursor, EncodingPointerPos, EncodingLEDState}, true})
}

// live plays a scenario with a server whose screen can be changed, and checks
// that its stream is followed to the end.
func live(t *testing.T, conn net.Conn, s scenario, change func(step int)) trace {
	c, err := Connect(t.Context(), conn)
	require.NoError(t, err)
	tr := trace{Width: c.Init.Width, Height: c.Init.Height, Format: s.format, Encodings: s.encodings}
	r := newReader(t, c, c.Init, s.format, s.encodings)
	say := func(b []byte) {
		_, err := c.Write(b)
		require.NoError(t, err)
	}
	say(wire(t, SetPixelFormat{s.format}))
	say(wire(t, SetEncodings{s.encodings}))
	all := Rect{0, 0, c.Init.Width, c.Init.Height}
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
	tr.stream, tr.Updates, tr.Size = r.all, r.updates, [2]uint16{all.Width, all.Height}
	return tr
}

// colors are what the root window of a server is painted in, step by step.
var colors = []string{"#203040", "#ff8000", "#00c060", "#7050ff"}

func TestLiveX11vnc(t *testing.T) {
	d := testhost.Require(t, testhost.Options{Width: 160, Height: 120})
	pictures(t, func(name string, args ...string) {
		_, err := d.Spawn(name, args...)
		require.NoError(t, err)
	}, func(name string, args ...string) {
		_, err := d.Run(t.Context(), name, args...)
		require.NoError(t, err)
	})
	server := "x11vnc-" + version(t, "x11vnc", "-version")
	play(t, server, func(t *testing.T, s scenario) trace {
		conn, p := startX11vnc(t, d)
		tr := live(t, conn, s, func(step int) {
			require.NoError(t, d.SetRoot(t.Context(), colors[step]))
			require.NoError(t, d.Move(t.Context(), 10+40*step, 60))
		})
		conn.Close()
		exits(t, p)
		return tr
	})
}

func TestLiveXvnc(t *testing.T) {
	x := startXvnc(t, "160x120")
	pictures(t, func(name string, args ...string) { x.spawn(t, name, args...) },
		func(name string, args ...string) { x.do(t, name, args...) })
	change := func(step int) {
		x.do(t, "xsetroot", "-solid", colors[step])
		x.do(t, "xdotool", "mousemove", strconv.Itoa(10+40*step), "60")
	}
	server := "Xvnc-" + version(t, "Xvnc", "-version")
	play(t, server, func(t *testing.T, s scenario) trace {
		return live(t, x.dial(t), s, change)
	})
	t.Run("resize", func(t *testing.T) {
		tr := live(t, x.dial(t), scenario{"resize", pinned, []Encoding{EncodingTight, EncodingDesktopSize, EncodingDesktopName, EncodingLastRect}, true}, func(step int) {
			switch step {
			case 1:
				x.do(t, "vncconfig", "-set", "desktop=another name")
			case 3:
				x.do(t, "xrandr", "-s", "640x480")
			default:
				change(step)
			}
		})
		assert.Equal(t, [2]uint16{640, 480}, tr.Size)
		assert.Contains(t, string(tr.stream), "another name")
		if *updateTraces {
			tr.write(t, server, "resize-32")
		}
	})
}

// play plays scenarios, all of them to update the traces.
func play(t *testing.T, server string, one func(*testing.T, scenario) trace) {
	for _, s := range scenarios() {
		if !s.always && !*updateTraces {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			tr := one(t, s)
			assert.GreaterOrEqual(t, tr.Updates, 6)
			if *updateTraces {
				tr.write(t, server, s.name)
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
