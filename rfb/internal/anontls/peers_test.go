package anontls

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// starts starts a TLS server, which ends with the test, and returns its port once it listens.
func starts(t *testing.T, program, debian string, args func(port int) []string) net.Conn {
	t.Helper()
	path := testenv.Program(t, program, debian)
	port := testenv.Ports(t, 1)
	cmd := exec.Command(path, args(port)...)
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	idle, err := cmd.StdinPipe() // an end of which would end it
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		idle.Close()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), said.String())
		}
	})
	var conn net.Conn
	require.Eventually(t, func() bool {
		conn, err = net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		return err == nil
	}, waitFor, 20*time.Millisecond, "it doesn't listen")
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(waitFor)))
	return conn
}

// lines are sent, of many lengths, and come back as answer has them.
func lines(t *testing.T, c *Conn, answer func(string) string) {
	t.Helper()
	in := bufio.NewReader(c)
	for _, n := range []int{1, 100, 4000, 8000} {
		line := make([]byte, n)
		for i := range line {
			line[i] = byte('a' + rand.N(26))
		}
		_, err := c.Write(append(line, '\n'))
		require.NoError(t, err)
		got, err := in.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, answer(string(line))+"\n", got)
	}
}

// OpenSSL, with both suites and several groups: some it takes by itself, some are given.
func TestOpenSSL(t *testing.T) {
	openssl := testenv.Program(t, "openssl", "openssl")
	reversed := func(s string) string {
		b := []byte(s)
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
		return string(b)
	}
	dh := func(group string) []string {
		file := filepath.Join(t.TempDir(), group)
		out, err := exec.Command(openssl, "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:"+group, "-out", file).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return []string{"-dhparam", file}
	}
	for _, tt := range []struct {
		name, cipher string
		more         []string
		err          error
	}{
		{"all it has", "ADH:AECDH", nil, nil},
		{"AES-256", "ADH-AES256-GCM-SHA384", nil, nil},
		{"AES-128 and its own group", "ADH-AES128-GCM-SHA256", nil, ErrUnfit}, // of 1,024 bits
		{"AES-128", "ADH-AES128-GCM-SHA256", dh("ffdhe2048"), nil},
		{"ffdhe8192", "ADH-AES256-GCM-SHA384", dh("ffdhe8192"), nil},
		{"modp_2048", "ADH-AES256-GCM-SHA384", dh("modp_2048"), nil},
		{"a group with a subgroup", "ADH-AES256-GCM-SHA384", dh("dh_2048_256"), nil},
		{"curves only", "AECDH", nil, ErrRefused},
		{"CBC only", "ADH-AES256-SHA256", nil, ErrRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := starts(t, "openssl", "openssl", func(port int) []string {
				return append([]string{"s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", port), "-nocert", "-tls1_2", "-rev",
					"-cipher", tt.cipher + ":@SECLEVEL=0"}, tt.more...)
			})
			c, err := Client(conn)
			require.ErrorIs(t, err, tt.err)
			if err == nil {
				lines(t, c, reversed)
				require.NoError(t, c.Close())
			}
		})
	}
}

// GnuTLS, which servers of VNC have, by itself and as told otherwise.
func TestGnuTLS(t *testing.T) {
	for name, tt := range map[string]struct {
		priority string
		err      error
	}{
		"as TigerVNC has it":    {"NORMAL:+ANON-ECDH:+ANON-DH", nil},
		"as QEMU has it":        {"NORMAL:+ANON-DH", nil},
		"AES-128":               {"NORMAL:-KX-ALL:+ANON-DH:-CIPHER-ALL:+AES-128-GCM", nil},
		"AES-256":               {"NORMAL:-KX-ALL:+ANON-DH:-CIPHER-ALL:+AES-256-GCM", nil},
		"ffdhe4096":             {"NORMAL:-KX-ALL:+ANON-DH:-GROUP-ALL:+GROUP-FFDHE4096", nil},
		"short records":         {"NORMAL:+ANON-DH:%SERVER_PRECEDENCE", nil},
		"no extended master":    {"NORMAL:+ANON-DH:%NO_SESSION_HASH", nil},
		"no renegotiation info": {"NORMAL:+ANON-DH:%DISABLE_SAFE_RENEGOTIATION", nil},
		"no extensions":         {"NORMAL:+ANON-DH:%NO_EXTENSIONS", nil},
		"curves only":           {"NORMAL:-KX-ALL:+ANON-ECDH", ErrRefused},
		"certificates only":     {"NORMAL", ErrRefused},
		"CBC only":              {"NORMAL:-KX-ALL:+ANON-DH:-CIPHER-ALL:+AES-256-CBC", ErrRefused},
		"TLS 1.3 only":          {"NORMAL:+ANON-DH:-VERS-ALL:+VERS-TLS1.3", ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := starts(t, "gnutls-serv", "gnutls-bin", func(port int) []string {
				return []string{"--echo", "--port", strconv.Itoa(port), "--priority", tt.priority}
			})
			c, err := Client(conn)
			require.ErrorIs(t, err, tt.err)
			if err == nil {
				lines(t, c, func(s string) string { return s })
				require.NoError(t, c.Close())
			}
		})
	}
}
