package hosts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
)

// look asks, answers Yes and watches as watch does, and compares what is on the screen meanwhile.
func (h *host) look() *rfb.ServerConn {
	h.t.Helper()
	var plain *image.RGBA
	h.until("the desktop is painted", func() bool { plain = h.screen(); return colours(plain) > 64 })
	h.keep("desktop", plain)
	asked := h.ask()
	h.until("the question is painted", func() bool { return h.painted("consent", plain) })
	h.keep("question", h.screen())
	c := h.granted(asked)
	h.until("the banner is painted", func() bool { return h.painted("banner", plain) })
	h.keep("banner", h.screen())
	h.until("the view shows what is on the screen", func() bool {
		seen, err := view(c)
		require.NoError(h.t, err)
		h.keep("view", seen)
		return changed(seen, h.screen(), seen.Rect) < 0.01 // the pointer, and the panel's clock
	})
	return c
}

// painted reports whether a window of shadowd's is on the screen, and shows what isn't the desktop. Windows may shine through.
func (h *host) painted(name string, plain *image.RGBA) bool {
	out, err := h.command("sh", "-c", onDesktop+"xdotool search --onlyvisible --classname '^"+name+"$' getwindowgeometry --shell").Output()
	if err != nil {
		return false
	}
	values := map[string]int{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key], _ = strconv.Atoi(value)
	}
	at := image.Rect(0, 0, values["WIDTH"], values["HEIGHT"]).Add(image.Pt(values["X"], values["Y"]))
	if at.Empty() || !assert.True(h.t, at.In(plain.Rect), "%s is on the screen: %v", name, at) {
		return false
	}
	return changed(plain, h.screen(), at) > 0.9
}

// changed is which share of a part differs between two pictures.
func changed(a, b *image.RGBA, part image.Rectangle) float64 {
	differ := 0
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if a.RGBAAt(x, y) != b.RGBAAt(x, y) {
				differ++
			}
		}
	}
	return float64(differ) / float64(part.Dx()*part.Dy())
}

// colours is how many colours a picture has.
func colours(img *image.RGBA) int {
	seen := map[[4]byte]bool{}
	for i := 0; i < len(img.Pix); i += 4 {
		seen[[4]byte(img.Pix[i:])] = true
	}
	return len(seen)
}

// keep writes a picture for people into the folder that SHADOW_HOSTS_PICTURES names, if it names one.
func (h *host) keep(name string, img image.Image) {
	h.t.Helper()
	folder := os.Getenv("SHADOW_HOSTS_PICTURES")
	if folder == "" {
		return
	}
	require.NoError(h.t, os.MkdirAll(folder, 0o755))
	f, err := os.Create(filepath.Join(folder, h.release+"-"+name+".png"))
	require.NoError(h.t, err)
	defer f.Close()
	require.NoError(h.t, png.Encode(f, img))
}

// screen is what the user sees. Xvfb keeps it in a file of xwd(1)'s format, with 32 bits a pixel.
func (h *host) screen() *image.RGBA {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.root, "home/ann/screen/Xvfb_screen0"))
	require.NoError(h.t, err)
	const fields = 100 // bytes of the header, which its name follows
	require.Greater(h.t, len(data), fields)
	field := func(i int) int { return int(binary.BigEndian.Uint32(data[4*i:])) }
	header, width, height, bits, stride, palette := field(0), field(4), field(5), field(11), field(12), 12*field(19)
	require.Equal(h.t, 32, bits)
	require.GreaterOrEqual(h.t, len(data), header+palette+stride*height)
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		turn(img.Pix[y*img.Stride:][:4*width], data[header+palette+y*stride:], rfb.PixelFormat{RedShift: 16, GreenShift: 8})
	}
	return img
}

// turn makes pixels of 32 bits, the lowest first, those of an image.RGBA.
func turn(out, in []byte, f rfb.PixelFormat) {
	for i := 0; i < len(out); i += 4 {
		v := binary.LittleEndian.Uint32(in[i:])
		out[i], out[i+1], out[i+2], out[i+3] = byte(v>>f.RedShift), byte(v>>f.GreenShift), byte(v>>f.BlueShift), 0xff
	}
}

// view asks for a whole picture, as it is, and reads it.
func view(c *rfb.ServerConn) (*image.RGBA, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	f := c.Init.Format
	if f.BitsPerPixel != 32 || f.BigEndian {
		return nil, fmt.Errorf("another pixel format than the tests know: %+v", f)
	}
	img := image.NewRGBA(image.Rect(0, 0, int(c.Init.Width), int(c.Init.Height)))
	out, err := rfb.AppendMessage(nil, &rfb.SetEncodings{Encodings: []rfb.Encoding{rfb.EncodingRaw}})
	if err != nil {
		return nil, err
	}
	whole := rfb.Rect{Width: c.Init.Width, Height: c.Init.Height}
	if out, err = rfb.AppendMessage(out, &rfb.FramebufferUpdateRequest{Rect: whole}); err != nil {
		return nil, err
	}
	if _, err := c.Write(out); err != nil {
		return nil, err
	}
	for missing := len(img.Pix); missing > 0; {
		n, err := update(c, img, f)
		if err != nil {
			return nil, err
		}
		missing -= n
	}
	return img, nil
}

// update reads a message, a FramebufferUpdate of Raw rectangles into a picture, and returns how many bytes of that are new.
func update(c io.Reader, img *image.RGBA, f rfb.PixelFormat) (n int, err error) {
	head := make([]byte, 12)
	if _, err := io.ReadFull(c, head[:1]); err != nil {
		return 0, err
	}
	const updates, bell = 0, 2
	switch head[0] {
	case updates:
	case bell:
		return 0, nil
	default:
		return 0, fmt.Errorf("a message of type %d", head[0])
	}
	if _, err := io.ReadFull(c, head[:3]); err != nil {
		return 0, err
	}
	for range binary.BigEndian.Uint16(head[1:]) {
		if _, err := io.ReadFull(c, head); err != nil {
			return n, err
		}
		field := func(i int) int { return int(binary.BigEndian.Uint16(head[2*i:])) }
		at := image.Rect(0, 0, field(2), field(3)).Add(image.Pt(field(0), field(1)))
		if binary.BigEndian.Uint32(head[8:]) != uint32(rfb.EncodingRaw) || !at.In(img.Rect) {
			return n, errors.New("a rectangle that nobody asked for")
		}
		row := make([]byte, 4*at.Dx())
		for y := at.Min.Y; y < at.Max.Y; y++ {
			if _, err := io.ReadFull(c, row); err != nil {
				return n, err
			}
			turn(img.Pix[img.PixOffset(at.Min.X, y):][:len(row)], row, f)
			n += len(row)
		}
	}
	return n, nil
}
