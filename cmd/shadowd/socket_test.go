package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// systemd is given the control socket, whose file then stays for the next daemon.
func TestControlSocketIsKept(t *testing.T) {
	dir := t.TempDir()
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	require.NoError(t, err)
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "notify"))
	path := filepath.Join(dir, "control.sock")
	ln, err := controlSocket(path, "")
	require.NoError(t, err)

	state, rights := make([]byte, 100), make([]byte, unix.CmsgSpace(4))
	require.NoError(t, manager.SetReadDeadline(time.Now().Add(time.Minute)))
	n, rn, _, _, err := manager.ReadMsgUnix(state, rights)
	require.NoError(t, err)
	assert.Equal(t, "FDSTORE=1\nFDNAME=control", string(state[:n]))
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	require.NoError(t, err)
	require.Len(t, messages, 1)
	fds, err := unix.ParseUnixRights(&messages[0])
	require.NoError(t, err)
	require.Len(t, fds, 1)
	kept, err := net.FileListener(os.NewFile(uintptr(fds[0]), "kept"))
	require.NoError(t, err)
	defer kept.Close()
	assert.Equal(t, path, kept.Addr().String())
	require.NoError(t, ln.Close())
	assert.FileExists(t, path)
}

// Without a systemd that keeps it the socket's file goes.
func TestControlSocketGoes(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	path := filepath.Join(t.TempDir(), "control.sock")
	ln, err := controlSocket(path, "")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	assert.NoFileExists(t, path)
}
