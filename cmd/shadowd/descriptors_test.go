package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/config"
)

// showNothing is an RFB server on a socket, with a screen of one pixel.
func showNothing(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 12)
				_, _ = c.Write([]byte("RFB 003.008\n"))
				_, _ = io.ReadFull(c, buf)
				_, _ = c.Write([]byte{1, 1})
				_, _ = io.ReadFull(c, buf[:1])
				_, _ = c.Write([]byte{0, 0, 0, 0})
				_, _ = io.ReadFull(c, buf[:1])
				_, _ = c.Write([]byte{0, 1, 0, 1, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 1, 'x'})
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
}

// Strangers on a granted port can't take all of the daemon's file descriptors: its API answers.
func TestStrangersLeaveDescriptors(t *testing.T) {
	dir := t.TempDir()
	file, socket, rfb := filepath.Join(dir, "shadowing.toml"), filepath.Join(dir, "control.sock"), filepath.Join(dir, "rfb.sock")
	showNothing(t, rfb)
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
[log]
audit = %q
[control]
socket = %q
[viewer]
host = "localhost"
[consent]
prompter = "allow"
banner = false
[source]
kind = "dial"
dial = "unix:%s"
[sessions]
resolver = "static"
[[sessions.static]]
id = "1"
user = "nobody"
display = ":64001"
`, filepath.Join(dir, "audit.log"), socket, rfb), 0o600))
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command("sh", "-c", `ulimit -n 80 && exec "$@"`, "sh", self, "--config", file)
	cmd.Env = append(os.Environ(), asShadowd+"=1")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	client := api.Client{Socket: socket}
	require.Eventually(t, func() bool {
		_, err := client.List(t.Context())
		return err == nil
	}, time.Minute, 10*time.Millisecond, "it doesn't answer")

	grant, err := client.Shadow(t.Context(), api.Request{Session: "1", Admin: "alice"})
	require.NoError(t, err)
	for i := range 200 { // from 50 addresses
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%50))}}
		c, err := from.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(grant.Port)))
		require.NoError(t, err)
		defer c.Close()
	}
	for range 20 { // one connection each
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		_, err := client.List(ctx)
		cancel()
		require.NoError(t, err)
	}
	require.NoError(t, client.Stop(t.Context(), grant.ID))
}

func TestFewDescriptorsAreSaid(t *testing.T) {
	cfg := config.Default()
	require.Less(t, neededDescriptors(cfg), uint64(4096), "what systemd gives")
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = neededDescriptors(cfg) - 1
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }()
	var log bytes.Buffer
	announceDescriptors(zerolog.New(&log), cfg)
	require.Contains(t, log.String(), "LimitNOFILE")
	log.Reset()
	cfg.Ports.Last = cfg.Ports.First
	announceDescriptors(zerolog.New(&log), cfg)
	require.Empty(t, log.String())
}
