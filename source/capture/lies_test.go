package capture

import (
	"encoding/binary"
	"fmt"
	"image"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

// lie has a number in a reply, or in the answer to the set-up, be another one: of one byte, two or four.
func lie(at, size int, n uint32) func([]byte) []byte {
	return func(b []byte) []byte {
		switch size {
		case 1:
			b[at] = byte(n)
		case 2:
			binary.LittleEndian.PutUint16(b[at:], uint16(n))
		default:
			binary.LittleEndian.PutUint32(b[at:], n)
		}
		return b
	}
}

// An X server that says that it sends more than it does, or that there is more in what it sends than there is, harms the
// child alone: that ends, not well, or well as soon as its viewer leaves. It takes no memory for what isn't there,
// and never does it say that the display has gone, which would be told as the session's end.
func TestLyingServers(t *testing.T) {
	const replyLength, most = 4, 0xffffffff
	of := func(opcode string, lie func([]byte) []byte) *lesser {
		return &lesser{replies: map[string]func([]byte) []byte{opcode: lie}}
	}
	old := func(l *lesser) *lesser { l.versions = map[string][2]uint32{"RANDR": {1, 4}}; return l }
	unshared := func(l *lesser) *lesser { l.without = []string{"MIT-SHM"}; return l }
	for name, l := range map[string]*lesser{
		"roots":             {setup: lie(28, 1, 255)},
		"pixmap formats":    {setup: lie(29, 1, 255)},
		"the vendor's name": {setup: lie(24, 2, 0xffff)},
		"a screen's depths": {setup: func(b []byte) []byte { return lie(screenAt(b)+39, 1, 255)(b) }},
		"a short set-up":    {setup: func(b []byte) []byte { return lie(6, 2, 8)(b[:40]) }},

		"a name's length":      of("17", lie(8, 2, 0xffff)),
		"monitors":             of("RANDR 42", lie(12, 4, most)),
		"outputs":              old(of("RANDR 25", lie(18, 2, 0xffff))),
		"an output's name":     old(of("RANDR 9", lie(34, 2, 0xffff))),
		"changes":              of("XFIXES 19", lie(replyLength, 4, 0xfffff)),
		"endless changes":      of("XFIXES 19", lie(replyLength, 4, most)),
		"the pointer's width":  of("XFIXES 4", lie(12, 2, 0xffff)),
		"the pointer's pixels": of("XFIXES 4", lie(replyLength, 4, most)),
		"few pixels":           unshared(of("73", func(b []byte) []byte { return lie(replyLength, 4, 1)(b[:36]) })),
		"endless pixels":       unshared(of("73", lie(replyLength, 4, most))),
		"no pixels":            of("MIT-SHM 4", func([]byte) []byte { return nil }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
			p := newPainter(t, d, image.Rect(10, 10, 60, 60))
			l.serve(t, d)
			r := start(t, d, "--display", l.display, "--xauthority", l.xauthority)
			over := make(chan struct{})
			go func() { // a viewer that takes what comes
				defer close(over)
				_, _ = r.Write([]byte("RFB 003.008\n\x01\x01"))
				for n := 0; ; n++ {
					b, _ := rfb.AppendMessage(nil, &rfb.FramebufferUpdateRequest{Incremental: n > 0, Rect: rfb.Rect{Width: 320, Height: 200}})
					if _, err := r.Write(b); err != nil {
						return
					}
					if _, err := r.Read(make([]byte, 1<<20)); err != nil {
						return
					}
				}
			}()
			met := func() bool {
				for opcode := range l.replies {
					if l.asked(opcode) == 0 {
						return false
					}
				}
				return len(l.replies) > 0 // a lie of the set-up ends the child
			}
			for i := range uint32(1 << 24) {
				if met() {
					break
				}
				select {
				case <-r.proc.Done():
				case <-time.After(10 * time.Millisecond):
					p.fill(image.Rect(5, 5, 45, 45), i) // so that there are changes
					continue
				}
				break
			}
			select { // a lie that is met may take a moment to do harm; too short would only make the test easier
			case <-r.proc.Done():
			case <-time.After(300 * time.Millisecond):
			}
			if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.proc.PID())); err == nil && !raceEnabled {
				kB := 0
				if _, line, ok := strings.Cut(string(status), "VmHWM:"); ok {
					_, err := fmt.Sscan(line, &kB)
					require.NoError(t, err)
				}
				assert.Less(t, kB, 100_000)
			}
			r.Close()
			<-over
			code := r.ends(t)
			assert.NotEqual(t, ExitGone, code, r.stderr.String())
			t.Logf("exit status %d: %.150s", code, r.stderr.String())
		})
	}
}

// screenAt is where the first screen is in a server's answer to the set-up.
func screenAt(answer []byte) int {
	return 40 + (int(binary.LittleEndian.Uint16(answer[24:]))+3)&^3 + 8*int(answer[29])
}

// Where the system has little of System V's shared memory, the picture comes over the connection, and it is said;
// MIT-SHM 1.2 needs none of it.
func TestLittleSharedMemory(t *testing.T) {
	if !testenv.InNamespaces(t, patience) {
		return
	}
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 200})
	before := &lesser{versions: map[string][2]uint32{"MIT-SHM": {1, 1}}}
	before.serve(t, d)
	shows := func(args ...string) (said string) {
		r := watch(t, d, rawOnly, append(args, "--pointer=false")...)
		r.ask(t, false)
		r.update(t)
		r.settled(t, d)
		return r.stderr.String()
	}
	systemV := []string{"--display", before.display, "--xauthority", before.xauthority}
	assert.NotContains(t, shows(systemV...), "memory can't be shared")
	for _, limit := range []struct{ file, value, why string }{
		{"shmmax", "1048576", "invalid argument"}, {"shmall", "16", "no space left on device"},
	} {
		file := "/proc/sys/kernel/" + limit.file
		old, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, []byte(limit.value), 0o644))
		assert.Contains(t, shows(systemV...), "memory can't be shared with the X server ("+limit.why+"): the picture comes over the connection")
		assert.NotContains(t, shows(), "memory can't be shared")
		require.NoError(t, os.WriteFile(file, old, 0o644))
	}
}

// A full screen of OpenGL, which reports more than has changed, is shown as it is, and what hasn't changed isn't sent again.
func TestOpenGL(t *testing.T) {
	gears := testenv.Program(t, "glxgears", "mesa-utils")
	d := testhost.Require(t, testhost.Options{Identity: own(), Width: 320, Height: 240, Args: []string{"+extension", "GLX"}})
	cmd := exec.Command(gears, "-fullscreen")
	cmd.Env = append(d.Env(), "LIBGL_ALWAYS_SOFTWARE=1")
	program, err := d.SpawnCmd(cmd)
	require.NoError(t, err)
	r := watch(t, d, rawOnly, "--pointer=false")
	drawn := func() bool { // all but the first picture of the program's is gears on black
		colors := map[[3]uint8]bool{}
		for i := range 240 {
			colors[r.color(i, i)] = true
		}
		return len(colors) > 4 && r.color(0, 0) == [3]uint8{}
	}
	r.ask(t, false)
	for r.update(t); !drawn(); r.update(t) {
		r.ask(t, true)
	}
	for range 20 {
		r.ask(t, true)
		for _, rect := range r.update(t) {
			assert.False(t, image.Pt(0, 0).In(rect), "%v", rect)
		}
	}
	require.NoError(t, syscall.Kill(program.PID(), syscall.SIGSTOP)) // now the screen can be compared
	r.settled(t, d)
}
