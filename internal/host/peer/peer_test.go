package peer

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUID(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer l.Close()
	dialled, err := net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	defer dialled.Close()
	accepted, err := l.Accept()
	require.NoError(t, err)
	defer accepted.Close()
	for name, conn := range map[string]net.Conn{"dialled": dialled, "accepted": accepted} {
		uid, err := UID(conn.(*net.UnixConn))
		require.NoError(t, err, name)
		assert.EqualValues(t, os.Getuid(), uid, name)
		who, err := Of(conn.(*net.UnixConn))
		require.NoError(t, err, name)
		assert.EqualValues(t, os.Getpid(), who.Pid, name)
		assert.EqualValues(t, os.Getgid(), who.Gid, name)
	}
	require.NoError(t, dialled.Close())
	_, err = UID(dialled.(*net.UnixConn))
	assert.ErrorIs(t, err, net.ErrClosed)
}
