package viewers

import (
	"context"
	"encoding/hex"
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

// painter is a boot sector that shows 320 x 200 pixels of one colour: the last three bytes that came
// from the serial port, of six bits each.
var painter = strings.Join([]string{
	"b81300 cd10",              // mov ax,13h; int 10h: the mode
	"bac803 30c0 ee b90300",    // next: colour 0 of the palette; three bytes
	"bafd03 ec a801 74fb",      // byte: wait for one
	"baf803 ec bac903 ee e2ee", // into the palette; loop byte
	"ebe3",                     // jmp next
}, " ")

func startQEMU(t *testing.T, _ string) *screen {
	path := testenv.Program(t, "qemu-system-x86_64", "qemu-system-x86")
	dir, err := os.MkdirTemp("", "qemu") // sockets have short names
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	code, err := hex.DecodeString(strings.ReplaceAll(painter, " ", ""))
	require.NoError(t, err)
	sector := make([]byte, 512)
	copy(sector, code)
	sector[510], sector[511] = 0x55, 0xaa
	disk, vnc, serial := filepath.Join(dir, "disk"), filepath.Join(dir, "vnc"), filepath.Join(dir, "serial")
	require.NoError(t, os.WriteFile(disk, sector, 0o600))
	cmd := exec.Command(path, "-nodefaults", "-vga", "std", "-m", "16", "-display", "none", "-net", "none",
		"-drive", "format=raw,file="+disk, "-vnc", "unix:"+vnc, "-serial", "unix:"+serial+",server=on,wait=off")
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
	return &screen{
		size: "640x400", // QEMU shows each pixel four times
		dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", vnc) },
		paint: func(colour string) {
			rgb, err := hex.DecodeString(colour[1:])
			require.NoError(t, err)
			for i := range rgb {
				rgb[i] >>= 2
			}
			_, err = line.Write(rgb)
			require.NoError(t, err)
		},
		input: func() (string, bool) { return "", false },
		deaf:  "its guest reads no input",
		still: "its guest has one size",
	}
}
