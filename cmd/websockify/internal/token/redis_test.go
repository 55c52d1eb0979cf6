package token

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	server "vda.internal/shadow/internal/redis"
	"vda.internal/shadow/internal/testenv"
)

// startRedis runs a real server and returns its port, and a function that
// gives it commands.
func startRedis(t *testing.T, args ...string) (port string, do func(words ...string)) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err = net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	ln.Close()
	path := testenv.Program(t, "redis-server", "redis-server")
	cmd := exec.Command(path, append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}, args...)...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	db := 0
	do = func(words ...string) {
		t.Helper()
		if words[0] == "SELECT" {
			db, err = strconv.Atoi(words[1])
			require.NoError(t, err)
			return
		}
		_, err := server.Server{Address: "127.0.0.1:" + port, DB: db}.Do(t.Context(), words...)
		require.NoError(t, err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err = (server.Server{Address: "127.0.0.1:" + port}).Do(t.Context(), "PING"); err == nil {
			return port, do
		}
		require.True(t, time.Now().Before(end), "redis-server doesn't listen: %v", err)
	}
}

func TestTokenRedis(t *testing.T) {
	port, do := startRedis(t)
	do("SET", "json", `{"host":"127.0.0.1:5000"}`)
	do("SET", "plain", "h:1")
	do("SET", "ns:plain", "h:2")
	do("SET", "broken", `{"host":`)
	do("SET", "a b\r\nc", "h:3")
	do("SELECT", "3")
	do("SET", "plain", "h:4")

	s := source(t, "TokenRedis", "127.0.0.1:"+port)
	assert.Equal(t, "tcp 127.0.0.1:5000", lookup(t, s, "json"))
	assert.Equal(t, "tcp h:1", lookup(t, s, "plain"))
	assert.Equal(t, "tcp h:3", lookup(t, s, "a b\r\nc"), "a token isn't a command")
	assert.Equal(t, "unknown", lookup(t, s, "nobody"))
	assert.Contains(t, lookup(t, s, "broken"), "Redis")
	assert.Equal(t, "tcp h:2", lookup(t, source(t, "TokenRedis", "127.0.0.1:"+port+":::ns"), "plain"))
	assert.Equal(t, "tcp h:4", lookup(t, source(t, "TokenRedis", fmt.Sprintf(`"127.0.0.1":%s:3`, port)), "plain"))
	assert.Contains(t, lookup(t, source(t, "TokenRedis", "127.0.0.1:"+port+":99"), "plain"), "out of range")
	assert.Contains(t, lookup(t, source(t, "TokenRedis", "127.0.0.1:1"), "plain"), "refused")
}

func TestTokenRedisPassword(t *testing.T) {
	port, do := startRedis(t)
	do("SET", "plain", "h:1")
	do("CONFIG", "SET", "requirepass", "se:cret")
	assert.Equal(t, "tcp h:1", lookup(t, source(t, "TokenRedis", `127.0.0.1:`+port+`::"se:cret"`), "plain"))
	assert.Contains(t, lookup(t, source(t, "TokenRedis", `127.0.0.1:`+port+`::wrong`), "plain"), "WRONGPASS")
	assert.Contains(t, lookup(t, source(t, "TokenRedis", `127.0.0.1:`+port), "plain"), "NOAUTH")
}

func TestTokenRedisSource(t *testing.T) {
	for _, bad := range []string{"", ":6379", "h:1:x", "h:1:-1", `h:1:0:"p`, "h:1:2:3:4:5"} {
		_, err := New("TokenRedis", bad)
		assert.Error(t, err, bad)
	}
	s, err := newRedis("h")
	require.NoError(t, err)
	assert.Equal(t, &redis{host: "h", port: "6379"}, s)
}
