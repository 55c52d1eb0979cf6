package syslog_test

import (
	"bufio"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/cmd/websockify/internal/syslog"
	"vda.internal/shadow/internal/testenv"
)

var at = time.Date(2026, time.November, 22, 12, 55, 44, 0, time.FixedZone("", 3600))

const rfc5424 = `^<14>1 2026-11-22T11:55:44Z \S+ websockify \d+ - - `

func receive(t *testing.T, c net.PacketConn) string {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(testenv.Patience)))
	b := make([]byte, 2048)
	n, _, err := c.ReadFrom(b)
	require.NoError(t, err)
	return string(b[:n])
}

func TestDatagrams(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer udp.Close()
	path := filepath.Join(t.TempDir(), "log")
	local, err := net.ListenPacket("unixgram", path)
	require.NoError(t, err)
	defer local.Close()
	for _, c := range []struct {
		server net.PacketConn
		w      *syslog.Writer
	}{
		{udp, &syslog.Writer{Network: "udp", Address: udp.LocalAddr().String(), Facility: syslog.User, Tag: "websockify"}},
		{local, &syslog.Writer{Network: "unix", Address: path, Facility: syslog.User, Tag: "websockify"}},
	} {
		require.NoError(t, c.w.Send(syslog.Info, at, "two\nlines"))
		assert.Regexp(t, rfc5424+`two lines$`, receive(t, c.server))
		require.NoError(t, c.w.Send(syslog.Info, at, "é"))
		assert.Regexp(t, rfc5424+"\ufeffé$", receive(t, c.server), "RFC 5424 wants a BOM before UTF-8")
		c.w.Legacy, c.w.Facility = true, syslog.Daemon
		require.NoError(t, c.w.Send(syslog.Debug, at, "x"))
		assert.Regexp(t, `^<31>websockify\[\d+\]: x$`, receive(t, c.server))
		require.NoError(t, c.w.Close())
		require.NoError(t, c.w.Close())
	}
}

func TestStreamSurvivesItsServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := &syslog.Writer{Network: "unix", Address: path, Facility: syslog.User, Tag: strings.Repeat("t", 30)}
	assert.Error(t, w.Send(syslog.Warning, at, "nobody there"))
	for range 2 {
		ln, err := net.Listen("unix", path)
		require.NoError(t, err)
		var c net.Conn
		for c == nil { // what was sent into the old connection is lost
			require.NoError(t, w.Send(syslog.Warning, at, "x"))
			require.NoError(t, ln.(*net.UnixListener).SetDeadline(time.Now().Add(100*time.Millisecond)))
			c, _ = ln.Accept()
		}
		require.NoError(t, c.SetReadDeadline(time.Now().Add(testenv.Patience)))
		line, err := bufio.NewReader(c).ReadString('\n')
		require.NoError(t, err)
		assert.Regexp(t, `^<12>1 \S+ \S+ t{24} \d+ - - x\n$`, line)
		c.Close()
		ln.Close()
	}
	require.NoError(t, w.Close())
}
