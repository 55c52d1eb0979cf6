package websockify

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// frontEnd runs a reverse proxy with its configuration in a file, until the
// test ends, and returns where it listens: LISTEN in the configuration. DIR is
// a directory of its own.
func frontEnd(t *testing.T, program, config string, args ...string) (addr string) {
	t.Helper()
	addr = freeAddress(t)
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "conf"), strings.NewReplacer("LISTEN", addr, "DIR", dir).Replace(config))
	cmd := exec.Command(program, append(args, file)...)
	said := &text{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said)
		}
	})
	waitForPort(t, addr)
	return addr
}

// nginx is a reverse proxy that serves target under /vnc/.
func nginx(t *testing.T, target string) (addr string) {
	return frontEnd(t, testenv.Program(t, "nginx", "nginx-light"), `daemon off; master_process off; pid DIR/pid; error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4; scgi_temp_path DIR/5;
	server {
		listen LISTEN;
		location /vnc/ {
			proxy_pass http://`+target+`/;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Host $http_host;
			proxy_set_header X-Forwarded-Proto https;
		}
		location /port/ {
			proxy_pass http://`+target+`/;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_set_header Host $host:443;
		}
	}
}
`, "-p", t.TempDir(), "-e", "stderr", "-c")
}

// haproxy is a proxy in front of target that sends version of the PROXY protocol.
func haproxy(t *testing.T, target, version string) (addr string) {
	return frontEnd(t, testenv.Program(t, "haproxy", "haproxy"), `defaults
	mode tcp
	timeout connect 1m
	timeout client 10m
	timeout server 10m
frontend in
	bind LISTEN
	default_backend out
backend out
	server ws `+target+" "+version+"\n", "-db", "-f")
}

// from dials an address from one of loopback's.
func from(t *testing.T, local, addr string) *client {
	t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	return newClient(t, c)
}

// echoes sees that a session works.
func (c *client) echoes() *client {
	c.t.Helper()
	c.send(frame(binFin, "hello"))
	require.Equal(c.t, "hello", c.stream(5))
	return c
}

// Clients behind nginx have their own addresses, in the log and to the limits,
// and pages of nginx's are pages of this host.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "f"), "file")
	require.NoError(t, syscall.Mkdir(filepath.Join(dir, "sub"), 0o700))
	writeFile(t, filepath.Join(dir, "sub", "index.html"), "index")
	p := theGo.start(t, "-v", "LISTEN", echoTarget(t), "--web", dir, "--origin", "same", "--trusted-proxies", "127.0.0.1",
		"--max-connections-per-address", "1", "--heartbeat", "100ms")
	front := nginx(t, p.addr)

	first := from(t, "127.0.0.2", front).upgrade("/vnc/websockify", "Origin: https://localhost").echoes()
	p.says("127.0.0.2: Path: '/websockify'")
	assert.Contains(t, from(t, "127.0.0.2", front).upgrade("/vnc/", "Origin: https://localhost").rest(), "too many sessions from this address")
	from(t, "127.0.0.3", front).upgrade("/vnc/", "Origin: https://localhost").echoes()
	from(t, "127.0.0.4", front).upgrade("/port/", "Origin: https://localhost").echoes()
	assert.Contains(t, from(t, "127.0.0.5", front).upgrade("/vnc/", "Origin: http://localhost").rest(), "close 1008", "X-Forwarded-Proto says https")
	assert.Contains(t, from(t, "127.0.0.6", front).upgrade("/vnc/", "Origin: https://evil.example").rest(), "close 1008")
	p.says("127.0.0.5: client turned away")
	for range 3 { // nginx passes pings on, which keep it from cutting idle sessions
		opcode, _, err := first.readFrame()
		require.NoError(t, err)
		assert.EqualValues(t, pingFin, opcode)
	}
	answer, err := http.Get("http://" + front + "/vnc/sub")
	require.NoError(t, err)
	answer.Body.Close()
	assert.Equal(t, "/vnc/sub/", answer.Request.URL.Path, "redirected within nginx's prefix")
}

// Nobody but the proxies that are named is believed.
func TestProxiesThatAreNotNamed(t *testing.T) {
	p := theGo.start(t, "-v", "LISTEN", echoTarget(t), "--origin", "same", "--trusted-proxies", "10.0.0.0/8,unix")
	c := dialRaw(t, p.addr).upgrade("/", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: evil.example", "Origin: https://evil.example")
	assert.Contains(t, c.rest(), "close 1008")
	p.says("127.0.0.1: client turned away")
	assert.NotContains(t, p.err.String(), "192.0.2.1")
}

// The address in a PROXY protocol header is the client's, over TLS too.
func TestBehindHAProxy(t *testing.T) {
	t.Parallel()
	f := newFixtures(t)
	p := theGo.start(t, "LISTEN", echoTarget(t), "--cert", f.cert, "--trusted-proxies", "127.0.0.1", "--proxy-protocol", "--max-connections-per-address=1")
	for i, version := range []string{"send-proxy", "send-proxy-v2"} {
		front := haproxy(t, p.addr, version)
		local := fmt.Sprintf("127.0.0.%d", 2+i)
		from(t, local, front).upgrade("/p" + version).echoes()
		p.says(local + ": Path: '/p" + version + "'")
		assert.Contains(t, from(t, local, front).upgrade("/").rest(), "too many sessions from this address")
	}
	secure, err := dialTLS(t, haproxy(t, p.addr, "send-proxy-v2-ssl-cn"), f.ca.trust())
	require.NoError(t, err)
	secure.upgrade("/").echoes()
	_, err = dialRaw(t, p.addr).Read(make([]byte, 1)) // a proxy that doesn't say who comes
	assert.Error(t, err)
	assert.Equal(t, "closed", status(request("/"))(dialRaw(t, p.addr)))
}

// A front end on the same machine may use a unix socket, and the target may be
// told who comes.
func TestUnixFrontEndAndTargetProxyProtocol(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	p := theGo.start(t, "-v", "--unix-listen", socket, echoTarget(t), "--trusted-proxies=unix", "--target-proxy-protocol", "1")
	nc, err := net.Dial("unix", socket)
	require.NoError(t, err)
	c := newClient(t, nc).upgrade("/p", "X-Forwarded-For: 192.0.2.1")
	assert.Equal(t, "PROXY UNKNOWN\r\n", c.stream(15), "one end has no address")
	p.says("192.0.2.1: Path")
	p = theGo.start(t, "LISTEN", echoTarget(t), "--trusted-proxies=127.0.0.1", "--target-proxy-protocol", "1")
	c = dialRaw(t, p.addr).upgrade("/", "X-Forwarded-For: 192.0.2.1")
	want := "PROXY TCP4 192.0.2.1 127.0.0.1 0 " + portOf(p.addr) + "\r\n"
	assert.Equal(t, want, c.stream(len(want)))
}
