package e2e

import (
	"bufio"
	"encoding/binary"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readClose reads a handshake's answer and frames up to a close frame. A
// handshake that is refused has code 0.
func readClose(t *testing.T, c io.Reader) (code int, data []byte) {
	t.Helper()
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	if response.StatusCode != http.StatusSwitchingProtocols {
		return 0, nil
	}
	for {
		head := make([]byte, 2)
		_, err := io.ReadFull(r, head)
		require.NoError(t, err, "no close frame")
		require.Less(t, head[1], byte(126), "longer than expected")
		payload := make([]byte, head[1])
		_, err = io.ReadFull(r, payload)
		require.NoError(t, err)
		switch head[0] & 15 {
		case 8:
			require.GreaterOrEqual(t, len(payload), 2)
			return int(binary.BigEndian.Uint16(payload)), data
		case 2:
			data = append(data, payload...)
		}
	}
}

// listeners are the local addresses that listen for TCP on this host, as the
// kernel writes them.
func listeners(t testing.TB) []string { t.Helper(); return listenerFields(t, 1) }

// listenerInodes are those sockets' inodes.
func listenerInodes(t testing.TB) []string { t.Helper(); return listenerFields(t, 9) }

func listenerFields(t testing.TB, column int) (values []string) {
	t.Helper()
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		for _, line := range strings.Split(string(data), "\n")[1:] {
			if fields := strings.Fields(line); len(fields) > 9 && fields[3] == "0A" {
				values = append(values, fields[column])
			}
		}
	}
	return values
}
