package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"image"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

func TestMain(m *testing.M) {
	Child()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case confinedArg:
			beConfined()
		case oldKernelArg:
			onOldKernel()
		case otherMemoryArg:
			withOtherMemory()
		}
	}
	os.Exit(m.Run())
}

// patience is how long what must come may take.
const patience = testenv.Patience

// A running is this program as the child that captures, and a viewer of it.
type running struct {
	net.Conn
	proc   *child.Process
	r      *bufio.Reader
	stderr *safeBuffer

	size  image.Point
	name  string
	pix   []byte // blue, green, red and one without a meaning
	copy  int    // rectangles of that kind so far
	bytes int    // of Raw
	at    image.Point
	cur   image.Point // the size of the last Cursor
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs the child on d.
func start(t *testing.T, d *testhost.Desktop, args ...string) *running {
	t.Helper()
	return startAs(t, d, Arg, args...)
}

func startAs(t *testing.T, d *testhost.Desktop, arg string, args ...string) *running {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ours, theirs := os.NewFile(uintptr(fds[0]), "viewer"), os.NewFile(uintptr(fds[1]), "capture")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	require.NoError(t, err)
	r := &running{Conn: conn, r: bufio.NewReaderSize(conn, 1<<16), stderr: &safeBuffer{}}
	cmd := exec.Command("/proc/self/exe", append([]string{arg, "--display", d.Display, "--xauthority", d.Xauthority}, args...)...)
	cmd.Stdin, cmd.Stderr = theirs, r.stderr
	r.proc, err = child.Start(cmd, d.Identity)
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close()
		r.proc.Stop(10*time.Second, time.Second)
		if t.Failed() {
			t.Log("capture said: ", r.stderr.String())
		}
	})
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return r
}

// watch starts the child and greets it as a viewer with encodings.
func watch(t *testing.T, d *testhost.Desktop, encodings []rfb.Encoding, args ...string) *running {
	t.Helper()
	r := start(t, d, args...)
	r.greet(t)
	r.say(t, &rfb.SetEncodings{Encodings: encodings})
	return r
}

func (r *running) greet(t *testing.T) {
	t.Helper()
	head := make([]byte, 256)
	_, err := io.ReadFull(r.r, head[:12])
	require.NoError(t, err, r.stderr.String())
	r.write(t, []byte("RFB 003.008\n"))
	_, err = io.ReadFull(r.r, head[:2])
	require.NoError(t, err)
	require.Equal(t, []byte{1, 1}, head[:2])
	r.write(t, []byte{1})
	_, err = io.ReadFull(r.r, head[:4])
	require.NoError(t, err)
	require.Zero(t, binary.BigEndian.Uint32(head))
	r.write(t, []byte{1})
	_, err = io.ReadFull(r.r, head[:24])
	require.NoError(t, err)
	r.resize(image.Pt(int(binary.BigEndian.Uint16(head)), int(binary.BigEndian.Uint16(head[2:]))))
	name := head[:binary.BigEndian.Uint32(head[20:])]
	_, err = io.ReadFull(r.r, name)
	require.NoError(t, err)
	r.name = string(name)
}

func (r *running) resize(size image.Point) {
	r.size, r.pix = size, bytes.Repeat([]byte{0x7f}, 4*size.X*size.Y)
}

func (r *running) write(t *testing.T, b []byte) {
	t.Helper()
	_, err := r.Write(b)
	require.NoError(t, err, r.stderr.String())
}

func (r *running) say(t *testing.T, m rfb.Message) {
	t.Helper()
	b, err := rfb.AppendMessage(nil, m)
	require.NoError(t, err)
	r.write(t, b)
}

// ask asks for the whole.
func (r *running) ask(t *testing.T, incremental bool) {
	t.Helper()
	r.say(t, &rfb.FramebufferUpdateRequest{Incremental: incremental, Rect: rfb.Rect{Width: uint16(r.size.X), Height: uint16(r.size.Y)}})
}

func (r *running) take(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(r.r, b)
	require.NoError(t, err, r.stderr.String())
	return b
}

// update reads one update, and returns its rectangles with pixels.
func (r *running) update(t *testing.T) (rects []image.Rectangle) {
	t.Helper()
	head := r.take(t, 4)
	require.Zero(t, head[0], "not a FramebufferUpdate")
	for n := binary.BigEndian.Uint16(head[2:]); n > 0; n-- {
		h := r.take(t, 12)
		u := func(i int) int { return int(binary.BigEndian.Uint16(h[i:])) }
		rect := image.Rect(u(0), u(2), u(0)+u(4), u(2)+u(6))
		switch e := rfb.Encoding(int32(binary.BigEndian.Uint32(h[8:]))); e {
		case rfb.EncodingLastRect:
			return rects
		case rfb.EncodingDesktopSize:
			r.resize(rect.Size())
		case rfb.EncodingExtendedDesktopSize:
			r.take(t, 16*int(r.take(t, 4)[0]))
			if rect.Size() != r.size {
				r.resize(rect.Size())
			}
		case rfb.EncodingCursor:
			r.cur = rect.Size()
			r.take(t, rect.Dx()*rect.Dy()*4+(rect.Dx()+7)/8*rect.Dy())
		case rfb.EncodingPointerPos:
			r.at = rect.Min
		case rfb.EncodingDesktopName:
			r.name = string(r.take(t, int(binary.BigEndian.Uint32(r.take(t, 4)))))
		case rfb.EncodingRaw:
			require.True(t, rect.In(image.Rectangle{Max: r.size}), "%v of %v", rect, r.size)
			for y := rect.Min.Y; y < rect.Max.Y; y++ {
				copy(r.row(rect.Min.X, y, rect.Dx()), r.take(t, 4*rect.Dx()))
			}
			rects = append(rects, rect)
			r.bytes += 4 * rect.Dx() * rect.Dy()
		case rfb.EncodingCopyRect:
			b := r.take(t, 4)
			from := image.Pt(int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:])))
			var rows [][]byte
			for y := range rect.Dy() {
				rows = append(rows, bytes.Clone(r.row(from.X, from.Y+y, rect.Dx())))
			}
			for y, row := range rows {
				copy(r.row(rect.Min.X, rect.Min.Y+y, rect.Dx()), row)
			}
			r.copy++
			rects = append(rects, rect)
		default:
			require.FailNow(t, "rectangle of an encoding that wasn't asked for", "%v", e)
		}
	}
	return rects
}

func (r *running) row(x, y, width int) []byte {
	at := 4 * (y*r.size.X + x)
	return r.pix[at : at+4*width]
}

// color is a pixel as red, green, blue.
func (r *running) color(x, y int) [3]uint8 {
	p := r.row(x, y, 1)
	return [3]uint8{p[2], p[1], p[0]}
}

// wrong counts pixels that differ from a picture of the screen, and where.
func (r *running) wrong(m *image.RGBA) (n int, where image.Rectangle) {
	if m.Rect.Size() != r.size {
		return r.size.X * r.size.Y, image.Rectangle{Max: r.size}
	}
	for y := range r.size.Y {
		for x := range r.size.X {
			c := r.color(x, y)
			if p := m.RGBAAt(x, y); c != [3]uint8{p.R, p.G, p.B} {
				n++
				where = where.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return n, where
}

// settled reads updates until the picture is that of the screen, which is still.
// Pixels where isn't looked at: those of the pointer.
func (r *running) settled(t *testing.T, d *testhost.Desktop) {
	t.Helper()
	deadline := time.Now().Add(patience)
	want, err := d.Screenshot(t.Context())
	require.NoError(t, err)
	for {
		n, where := r.wrong(want)
		if n == 0 {
			return
		}
		require.False(t, time.Now().After(deadline), "%d wrong pixels in %v", n, where)
		r.ask(t, true)
		r.update(t)
		if want.Rect.Size() != r.size {
			want, err = d.Screenshot(t.Context())
			require.NoError(t, err)
		}
	}
}

// ends waits for the child's end and returns its exit code.
func (r *running) ends(t *testing.T) int {
	t.Helper()
	select {
	case <-r.proc.Done():
	case <-time.After(patience):
		require.FailNow(t, "the child doesn't end", r.stderr.String())
	}
	return r.proc.ExitCode()
}

// draw runs an X program on d and waits for its end.
func draw(t *testing.T, d *testhost.Desktop, command string) {
	t.Helper()
	words := strings.Fields(command)
	_, err := d.Run(t.Context(), words[0], words[1:]...)
	require.NoError(t, err)
}

var rawOnly = []rfb.Encoding{rfb.EncodingRaw}
