package viewers

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"image"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// painter is a boot sector that shows 320 x 200 pixels, after each four bytes that came from the serial port: the first
// three are colour 0, of six bits each, and the fourth is a mask of random numbers, which are the pixels' colours.
var painter = strings.Join([]string{
	"b81300 cd10",              // mov ax,13h; int 10h: the mode
	"6800a0 07",                // push a000h; pop es: its memory
	"bac803 30c0 ee b90300",    // next: colour 0 of the palette; three bytes
	"bafd03 ec a801 74fb",      // byte: wait for one
	"baf803 ec bac903 ee e2ee", // into the palette; loop byte
	"bafd03 ec a801 74fb",      // wait for one
	"baf803 ec 88c3",           // into bl
	"31ff 31c0 b900fa",         // xor di,di; xor ax,ax; mov cx,64000
	"69c05562 051936",          // draw: imul ax,25173; add ax,13849
	"50 88e0 20d8 aa 58",       // push ax; mov al,ah; and al,bl; stosb; pop ax
	"e2f0",                     // loop draw
	"baf803 ee",                // done: a byte to the port
	"ebba",                     // jmp next
}, " ")

func startQEMU(t *testing.T, _ string) *screen { return qemu(t, "") }

// startQEMUInTLS wants VeNCrypt's TLSNone, which the relay in front of it speaks.
func startQEMUInTLS(t *testing.T, _ string) *screen {
	return qemu(t, ",tls-creds=anonymous", "-object", "tls-creds-anon,id=anonymous,endpoint=server")
}

func qemu(t *testing.T, how string, more ...string) *screen {
	path := testenv.Program(t, "qemu-system-x86_64", "qemu-system-x86")
	dir, err := os.MkdirTemp("", "qemu") // sockets have short names
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	code, err := hex.DecodeString(strings.ReplaceAll(painter, " ", ""))
	require.NoError(t, err)
	sector := make([]byte, 512)
	copy(sector, code)
	sector[510], sector[511] = 0x55, 0xaa
	disk, vnc, serial, monitor := filepath.Join(dir, "disk"), filepath.Join(dir, "vnc"), filepath.Join(dir, "serial"), filepath.Join(dir, "monitor")
	require.NoError(t, os.WriteFile(disk, sector, 0o600))
	cmd := exec.Command(path, "-nodefaults", "-vga", "std", "-m", "16", "-display", "none", "-net", "none",
		"-drive", "format=raw,file="+disk, "-vnc", "unix:"+vnc+how, "-serial", "unix:"+serial+",server=on,wait=off",
		"-monitor", "unix:"+monitor+",server=on,wait=off")
	cmd.Args = append(cmd.Args, more...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	var line net.Conn
	require.Eventually(t, func() bool {
		if _, err = os.Stat(vnc); err == nil && line == nil {
			line, err = net.Dial("unix", serial)
		}
		return err == nil
	}, patience, 50*time.Millisecond, "QEMU doesn't start: %v", err)
	t.Cleanup(func() { line.Close() })
	say := func(b ...byte) { // and wait until it is drawn
		require.NoError(t, line.SetDeadline(time.Now().Add(patience)))
		_, err := line.Write(b)
		require.NoError(t, err)
		_, err = line.Read(make([]byte, 1))
		require.NoError(t, err)
	}
	return &screen{
		size: "640x400", // QEMU shows each pixel four times
		dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", vnc) },
		paint: func(colour string) {
			rgb, err := hex.DecodeString(colour[1:])
			require.NoError(t, err)
			say(rgb[0]>>2, rgb[1]>>2, rgb[2]>>2, 0)
		},
		draw: func(_ levels, seed uint64) { say(byte(seed)<<4, 0, 0, 1<<(seed%3+1)-1) },
		shot: func() (*image.RGBA, image.Rectangle) {
			return screendump(t, monitor, filepath.Join(dir, "shot")), image.Rectangle{}
		},
		input: func() (string, bool) { return "", false },
		deaf:  "its guest reads no input",
		still: "its guest has one size",
	}
}

// screendump is QEMU's own picture of its screen.
func screendump(t *testing.T, monitor, file string) *image.RGBA {
	t.Helper()
	conn, err := net.Dial("unix", monitor)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(conn)
	prompt := func() {
		for said := ""; !strings.HasSuffix(said, "(qemu) "); {
			b, err := r.ReadByte()
			require.NoError(t, err)
			said += string(b)
		}
	}
	prompt()
	_, err = fmt.Fprintf(conn, "screendump %s\n", file)
	require.NoError(t, err)
	prompt() // it is done
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var width, height, most int
	_, err = fmt.Sscanf(string(b[:min(len(b), 40)]), "P6\n%d %d\n%d\n", &width, &height, &most)
	require.NoError(t, err)
	pixels := b[len(b)-3*width*height:]
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		copy(m.Pix[4*i:], pixels[3*i:3*i+3])
		m.Pix[4*i+3] = 255
	}
	return m
}
