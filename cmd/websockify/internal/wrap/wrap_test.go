package wrap

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPrepare(t *testing.T) {
	t.Setenv("LD_PRELOAD", "/old.so")
	p, err := Prepare(Options{Command: []string{"sh", "-p", "{port}", "--at=127.0.0.1:{port}"}, Port: 6080, Rebind: "/rebind.so"})
	require.NoError(t, err)
	port := strconv.Itoa(p.Port())
	assert.NotZero(t, p.Port())
	assert.Equal(t, "sh -p "+port+" --at=127.0.0.1:"+port, p.String())
	assert.NotContains(t, strings.Join(p.env, "\n"), "rebind.so", "it isn't needed")

	p, err = Prepare(Options{Command: []string{"sh"}, Port: 6080, Rebind: "/rebind.so"})
	require.NoError(t, err)
	env := p.env[len(p.env)-3:]
	assert.Equal(t, []string{"LD_PRELOAD=/rebind.so:/old.so", "REBIND_OLD_PORT=6080", "REBIND_NEW_PORT=" + strconv.Itoa(p.Port())}, env)

	_, err = Prepare(Options{Command: []string{"sh"}, Port: 6080})
	assert.ErrorIs(t, err, ErrNoRebind)
	_, err = Prepare(Options{Command: []string{"sh"}, Rebind: "/rebind.so"})
	assert.ErrorIs(t, err, ErrNoPort, "there is no port to be moved from")
	p, err = Prepare(Options{Command: []string{"sh"}, Rebind: "/rebind.so", Unix: true})
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(p.env, "\n"), "REBIND_OLD_PORT")
	p, err = Prepare(Options{Command: []string{"sh"}, Port: 6080, Unix: true})
	require.NoError(t, err)
	assert.Zero(t, p.Port())
	assert.Empty(t, p.Hint(nil))
	_, err = Prepare(Options{Command: []string{"no-such-program"}, Rebind: "/rebind.so"})
	assert.ErrorContains(t, err, "no-such-program")
	_, err = Prepare(Options{})
	assert.Error(t, err)
}

// sh runs a shell command that has {port} in it.
func sh(t *testing.T, script string, o Options) *Program {
	t.Helper()
	o.Command = []string{"sh", "-c", script + " # {port}"}
	p, err := Prepare(o)
	require.NoError(t, err)
	return p
}

func TestModes(t *testing.T) {
	var ends []int
	o := Options{OnEnd: func(status int, _ time.Duration) { ends = append(ends, status) }}
	status, err := sh(t, "exit 7", o).Run(t.Context(), ModeExit)
	require.NoError(t, err)
	assert.Equal(t, 7, status)
	status, err = sh(t, "kill -TERM $$", o).Run(t.Context(), ModeExit)
	require.NoError(t, err)
	assert.Equal(t, 128+15, status)
	assert.Equal(t, []int{7, 143}, ends)

	ctx, cancel := contextWithCancel(t)
	starts := 0
	o = Options{OnStart: func() { starts++ }, OnPause: cancel}
	_, err = sh(t, "exit 1", o).Run(ctx, ModeRespawn)
	require.NoError(t, err)
	assert.Equal(t, 3, starts, "the third was too soon")

	ctx, cancel = contextWithCancel(t)
	o = Options{OnEnd: func(int, time.Duration) { cancel() }}
	status, err = sh(t, "exit 3", o).Run(ctx, ModeIgnore)
	require.NoError(t, err)
	assert.Zero(t, status)
}

func TestRespawnPause(t *testing.T) {
	now := time.Now()
	assert.True(t, nextStart([3]time.Time{{}, now, now}).IsZero())
	assert.Equal(t, now.Add(12*time.Second), nextStart([3]time.Time{now, now.Add(2 * time.Second), now.Add(4 * time.Second)}))
}

func TestRunLeavesTheProgramRunning(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := contextWithCancel(t)
	p := sh(t, "echo $$ >"+dir+"/pid; exec cat <"+dir+"/fifo", Options{})
	require.NoError(t, mkfifo(filepath.Join(dir, "fifo")))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p.Run(ctx, ModeExit)
	}()
	writer, err := os.OpenFile(filepath.Join(dir, "fifo"), os.O_WRONLY, 0) // waits for the program
	require.NoError(t, err)
	cancel()
	<-done
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	require.NoError(t, err)
	assert.DirExists(t, "/proc/"+strings.TrimSpace(string(b)))
	writer.Close() // and now it ends
}

func TestHintFindsWhoTookThePort(t *testing.T) {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		ln, err = net.Listen("tcp", "127.0.0.1:0")
	}
	require.NoError(t, err)
	defer ln.Close()
	taken := ln.Addr().(*net.TCPAddr).Port
	p, err := Prepare(Options{Command: []string{"sh"}, Port: taken, Rebind: "/rebind.so"})
	require.NoError(t, err)
	assert.Contains(t, p.Hint(nil), "listens on port "+strconv.Itoa(taken)+" itself")

	var inode uint64
	for _, s := range tcpSockets() {
		if s.listens() && int(s.local.Port()) == taken {
			inode = s.inode
		}
	}
	require.NotZero(t, inode)
	assert.Contains(t, p.Hint(map[uint64]bool{inode: true}), "rebind.so moves no static", "that was our own")
	assert.Regexp(t, "^if it had tried to take port "+strconv.Itoa(taken)+" itself", p.FailureHint(1, time.Second))
	assert.Empty(t, p.FailureHint(0, time.Second))
	assert.Empty(t, p.FailureHint(128+15, time.Second), "somebody stopped it")
	assert.Empty(t, p.FailureHint(1, time.Minute), "it had its port")

	moved, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p.Port()))
	require.NoError(t, err)
	defer moved.Close()
	assert.Empty(t, p.Hint(nil))
}

func TestWarningAboutStaticPrograms(t *testing.T) {
	// A program of ELF's header only has no interpreter.
	var b bytes.Buffer
	header := struct {
		Ident                                             [16]byte
		Type, Machine                                     uint16
		Version                                           uint32
		Entry, PHOff, SHOff                               uint64
		Flags                                             uint32
		EHSize, PHEntSize, PHNum, SHEntSize, SHNum, SHStr uint16
	}{Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: 2, Machine: 62, Version: 1, EHSize: 64, PHEntSize: 56, SHEntSize: 64}
	require.NoError(t, binary.Write(&b, binary.LittleEndian, header))
	static := filepath.Join(t.TempDir(), "static")
	require.NoError(t, os.WriteFile(static, b.Bytes(), 0o700))
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700))
	setuid := filepath.Join(t.TempDir(), "setuid")
	require.NoError(t, os.WriteFile(setuid, []byte("#!/bin/sh\n"), 0o700))
	require.NoError(t, os.Chmod(setuid, 0o700|os.ModeSetuid))
	for path, want := range map[string]string{static: "statically linked", setuid: "setuid", script: "", "/bin/sh": ""} {
		p, err := Prepare(Options{Command: []string{path}, Port: 6080, Rebind: "/rebind.so"})
		require.NoError(t, err)
		assert.Equal(t, want == "", p.Warning() == "", path)
		assert.Contains(t, p.Warning(), want, path)
	}
	p, err := Prepare(Options{Command: []string{static, "{port}"}, Port: 6080, Rebind: "/rebind.so"})
	require.NoError(t, err)
	assert.Empty(t, p.Warning())
}

func FuzzParseSocket(f *testing.F) {
	f.Add("   0: 0100007F:1770 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 123456 1 0000000000000000 100 0 0 10 0")
	f.Add("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode")
	f.Fuzz(func(t *testing.T, line string) {
		if s, ok := parseSocket(line); ok {
			assert.True(t, s.local.IsValid() && s.remote.IsValid())
		}
	})
}

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

func mkfifo(name string) error { return syscall.Mkfifo(name, 0o600) }
