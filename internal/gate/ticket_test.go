package gate_test

//lint:file-ignore SA1019 The import path is the one asked for; github.com/coder/websocket has the same API.

import (
	"bufio"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/gate/tickets"
	"vda.internal/shadow/internal/redis"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// office issues tickets on loopback, for what change sets.
func office(t *testing.T, change func(*tickets.Config)) *tickets.Office {
	t.Helper()
	first := testenv.Ports(t, 4)
	c := tickets.Config{Address: netip.MustParseAddr("127.0.0.1"), First: first, Last: first + 3, From: loopback, Valid: time.Minute}
	change(&c)
	o, err := tickets.New(c)
	require.NoError(t, err)
	t.Cleanup(o.Close)
	return o
}

// guacamole decrypts a ticket as Guacamole's extension does, and returns where its one connection leads.
func guacamole(t *testing.T, key tickets.Key, data string) (address, password string) {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(data)
	require.NoError(t, err)
	block, err := aes.NewCipher(key[:])
	require.NoError(t, err)
	cipher.NewCBCDecrypter(block, make([]byte, 16)).CryptBlocks(b, b)
	b = b[:len(b)-int(b[len(b)-1])]
	mac := hmac.New(sha256.New, key[:])
	mac.Write(b[32:])
	require.True(t, hmac.Equal(mac.Sum(nil), b[:32]), "the signature")
	var user struct {
		Username    string
		Expires     string
		Connections map[string]struct {
			Protocol   string
			Parameters map[string]string
		}
	}
	require.NoError(t, json.Unmarshal(b[32:], &user))
	assert.Equal(t, "alice", user.Username)
	ms, err := strconv.ParseInt(user.Expires, 10, 64)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), time.UnixMilli(ms), 2*time.Hour)
	require.Len(t, user.Connections, 1)
	one := user.Connections["ann@"+testgate.Host]
	assert.Equal(t, "vnc", one.Protocol)
	assert.Equal(t, "true", one.Parameters["read-only"])
	return net.JoinHostPort(one.Parameters["hostname"], one.Parameters["port"]), one.Parameters["password"]
}

func wish(t *testing.T, c *testgate.Client, id string, kind tickets.Kind) (ticket tickets.Ticket) {
	t.Helper()
	unmarshal(t, c.Do(http.MethodPost, "/api/v1/shadows/"+id+"/ticket", gate.TicketWish{For: kind}, http.StatusCreated), &ticket)
	return ticket
}

// vnc connects as a VNC viewer does.
func vnc(t *testing.T, c net.Conn, password string) (*rfb.ServerConn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testgate.Patience)
	defer cancel()
	return (&rfb.Client{Password: password}).Connect(ctx, c)
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// picture requires one of a VNC server's.
func picture(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte{3, 0, 0, 0, 0, 0, 0, testgate.Width, 0, testgate.Height})
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(testgate.Patience)))
	_, err = io.CopyN(io.Discard, c, 16+testgate.Width*testgate.Height*4)
	require.NoError(t, err)
}

// refusedSoon waits until nobody listens there any more.
func refusedSoon(t *testing.T, address string) {
	t.Helper()
	eventually(t, address+" is closed", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
}

// Guacamole shows a view to the one whose it is, once, and only with the password; the view is view-only all the
// same, and ends with who is signed in.
func TestTicketGuacamole(t *testing.T) {
	t.Parallel()
	key, err := tickets.ParseKey("4c0b569e4c96df157eee1b65dd0e4d41")
	require.NoError(t, err)
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{Gate: func(c *gate.Config) {
		c.Tickets = office(t, func(c *tickets.Config) { c.Key = key })
	}})
	up(t, g)
	alice := g.SignIn("alice")
	view := alice.Ask("s1")
	ticket := wish(t, alice, view.ID, tickets.Guacamole)
	assert.NotContains(t, ticket.Data, "password")
	address, password := guacamole(t, *key, ticket.Data)

	_, err = vnc(t, dial(t, address), "wrong")
	require.ErrorIs(t, err, rfb.ErrPassword)
	_, err = vnc(t, dial(t, address), "")
	require.ErrorIs(t, err, rfb.ErrSecurity, "there is no way without a password")
	require.Empty(t, shadows(t, d)[0].Viewer, "the host hears only of who has shown the password")

	c, err := vnc(t, dial(t, address), password)
	require.NoError(t, err)
	assert.Equal(t, uint16(testgate.Width), c.Init.Width)
	picture(t, c)
	refusedSoon(t, address)
	_, err = c.Write([]byte{4, 1, 0, 0, 0, 0, 0, 'x'}) // a key, which goes nowhere
	require.NoError(t, err)
	picture(t, c)
	alice.Do(http.MethodPost, "/api/v1/signout", nil, http.StatusOK)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(testgate.Patience)))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	eventually(t, "the host has ended the view", func() bool { return len(shadows(t, d)) == 0 })
	assert.NotContains(t, g.Log.String(), password)
}

func shadows(t *testing.T, d *testgate.Daemon) (list []shadowStatus) {
	t.Helper()
	found, err := d.Client.List(t.Context())
	require.NoError(t, err)
	for _, s := range found {
		list = append(list, shadowStatus{s.ID, s.Viewer})
	}
	return list
}

type shadowStatus struct{ ID, Viewer string }

// Only whose the view is gets a ticket, only while it is there, and a new one makes the old one void.
func TestTicketOwner(t *testing.T) {
	t.Parallel()
	var key tickets.Key
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{Gate: func(c *gate.Config) {
		c.Tickets = office(t, func(c *tickets.Config) { c.Key, c.Valid = &key, time.Hour })
	}})
	up(t, g)
	alice, again := g.SignIn("alice"), g.SignIn("alice")
	view := alice.Ask("s1")
	path := "/api/v1/shadows/" + view.ID + "/ticket"
	again.Do(http.MethodPost, path, gate.TicketWish{For: tickets.Guacamole}, http.StatusForbidden)
	g.SignIn("helen").Do(http.MethodPost, path, gate.TicketWish{For: tickets.Guacamole}, http.StatusForbidden)
	alice.Do(http.MethodPost, path, gate.TicketWish{For: "telnet"}, http.StatusBadRequest)
	first, _ := guacamole(t, key, wish(t, alice, view.ID, tickets.Guacamole).Data)
	second, _ := guacamole(t, key, wish(t, alice, view.ID, tickets.Guacamole).Data)
	refusedSoon(t, first)
	_, err := vnc(t, dial(t, second), "wrong")
	require.ErrorIs(t, err, rfb.ErrPassword)
	third, _ := guacamole(t, key, wish(t, alice, view.ID, tickets.Guacamole).Data)
	alice.Do(http.MethodDelete, "/api/v1/shadows/"+view.ID, nil, http.StatusNoContent)
	refusedSoon(t, third) // the view has ended, and its ticket with it
	eventually(t, "the gate knows that it has ended", func() bool {
		resp, err := alice.Send(t.Context(), http.MethodPost, path, gate.TicketWish{For: tickets.Guacamole})
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusNotFound
	})
}

// Without a setting there are no tickets.
func TestTicketOff(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{})
	up(t, g)
	c := g.SignIn("alice")
	c.Do(http.MethodPost, "/api/v1/shadows/"+c.Ask("s1").ID+"/ticket", gate.TicketWish{For: tickets.Guacamole}, http.StatusNotFound)
}

// python runs Debian's websockify with a token plugin, and returns where it listens.
func python(t *testing.T, args ...string) (address string) {
	t.Helper()
	const path = "/usr/bin/python3" // Debian's own, which has Debian's modules
	for _, module := range []string{"websockify", "redis", "simplejson", "requests"} {
		if out, err := exec.Command(path, "-c", "import "+module).CombinedOutput(); err != nil {
			testenv.Lack(t, "python3-%s is needed: %s", module, out)
		}
	}
	address = fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1))
	cmd := exec.Command(path, append([]string{"-m", "websockify", "--verbose"}, append(args, address)...)...)
	out := &testgate.Log{}
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("websockify: %s", out)
		}
	})
	eventually(t, "websockify listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return address
}

// novnc connects as a noVNC page does that was given a ticket.
func novnc(t *testing.T, address string, ticket tickets.Ticket) (*rfb.ServerConn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testgate.Patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+address+"/websockify?token="+ticket.Token, &websocket.DialOptions{Subprotocols: []string{"binary"}})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(-1)
	return vnc(t, websocket.NetConn(t.Context(), ws, websocket.MessageBinary), ticket.Password)
}

// Python's websockify finds a view by its own TokenRedis in a real Redis, in which a ticket expires, and by its
// own JSONTokenApi, which burns it.
func TestTicketWebsockify(t *testing.T) {
	t.Parallel()
	server := redis.Server{Address: startRedis(t)}
	const secret = "0123456789abcdef-X_y"
	forms, err := tickets.NewAPI(secret, loopback)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := forms.Server()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	d := testgate.NewDaemon(t)
	g := testgate.New(t, d, testgate.Options{Gate: func(c *gate.Config) {
		c.Tickets = office(t, func(c *tickets.Config) { c.Redis, c.API = &tickets.Redis{Server: server}, forms })
	}})
	up(t, g)
	alice := g.SignIn("alice")
	source := "http://" + ln.Addr().String() + "/" + secret + "/%s"
	for _, plugin := range [][2]string{{"TokenRedis", server.Address}, {"JSONTokenApi", source}} {
		t.Run(plugin[0], func(t *testing.T) {
			address := python(t, "--token-plugin", plugin[0], "--token-source", plugin[1])
			ticket := wish(t, alice, alice.Ask("s1").ID, tickets.Websockify)
			value, err := server.Do(t.Context(), "GET", ticket.Token)
			require.NoError(t, err)
			assert.NotContains(t, value, ticket.Password)
			left, err := server.Do(t.Context(), "TTL", ticket.Token)
			require.NoError(t, err)
			seconds, err := strconv.Atoi(left)
			require.NoError(t, err)
			assert.True(t, seconds > 0 && seconds <= 60, "%d s", seconds)

			c, err := novnc(t, address, ticket)
			require.NoError(t, err)
			picture(t, c)
			_, err = novnc(t, address, ticket)
			require.Error(t, err, "one ticket, one view")
		})
	}

	// The API's answer is given once, to who knows the secret, from where it may be asked.
	ticket := wish(t, alice, alice.Ask("s2").ID, tickets.Websockify)
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + ln.Addr().String() + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	for _, path := range []string{"/", "/" + ticket.Token, "/wrong/" + ticket.Token, "/" + secret, "/" + secret + "/", "/" + secret + "/wrong"} {
		status, _ := get(path)
		assert.Equal(t, 404, status, path)
	}
	status, body := get("/" + secret + "/" + ticket.Token)
	assert.Equal(t, 200, status)
	assert.Contains(t, body, `"host":"127.0.0.1"`)
	status, _ = get("/" + secret + "/" + ticket.Token)
	assert.Equal(t, 404, status, "it is burnt")
	far, err := tickets.NewAPI(secret, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	require.NoError(t, err)
	w := &statusOnly{}
	r, err := http.NewRequest("GET", "/"+secret+"/x", nil)
	require.NoError(t, err)
	r.RemoteAddr = "127.0.0.1:1"
	far.ServeHTTP(w, r)
	assert.Equal(t, 404, w.status)
}

type statusOnly struct{ status int }

func (s *statusOnly) Header() http.Header         { return http.Header{} }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }

// startRedis runs a real server, and returns where it listens.
func startRedis(t *testing.T) (address string) {
	t.Helper()
	port := testenv.Ports(t, 1)
	path := testenv.Program(t, "redis-server", "redis-server")
	address = fmt.Sprintf("127.0.0.1:%d", port)
	cmd := exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "redis-server listens", func() bool {
		_, err := redis.Server{Address: address}.Do(t.Context(), "PING")
		return err == nil
	})
	return address
}

// What somebody else could use isn't taken as an office's.
func TestTicketSettings(t *testing.T) {
	t.Parallel()
	good := tickets.Config{Address: netip.MustParseAddr("127.0.0.1"), From: loopback, Valid: time.Minute, Key: new(tickets.Key)}
	for name, spoil := range map[string]func(*tickets.Config){
		"no address":   func(c *tickets.Config) { c.Address = netip.Addr{} },
		"everybody":    func(c *tickets.Config) { c.From = nil },
		"for ever":     func(c *tickets.Config) { c.Valid = 0 },
		"no front end": func(c *tickets.Config) { c.Key = nil },
		"colons":       func(c *tickets.Config) { c.Address = netip.MustParseAddr("::1") },
	} {
		c := good
		spoil(&c)
		_, err := tickets.New(c)
		assert.Error(t, err, name)
	}
	for _, bad := range []string{"", "short", "0123456789abcde/", strings.Repeat("x", 15)} {
		_, err := tickets.NewAPI(bad, loopback)
		assert.Error(t, err, bad)
	}
	_, err := tickets.NewAPI("0123456789abcdef", nil)
	assert.Error(t, err)
	for _, bad := range []string{"", "4c0b", strings.Repeat("x", 32)} {
		_, err := tickets.ParseKey(bad)
		assert.Error(t, err, bad)
	}
}

// What openssl decrypts is what was encrypted.
func TestTicketOpenSSL(t *testing.T) {
	t.Parallel()
	openssl := testenv.Program(t, "openssl", "openssl")
	const hex = "4c0b569e4c96df157eee1b65dd0e4d41"
	key, err := tickets.ParseKey(hex)
	require.NoError(t, err)
	const plain = `{"username":"x"}`
	data, err := key.Encrypt([]byte(plain))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(file, []byte(data), 0o600))
	out, err := exec.Command(openssl, "enc", "-d", "-aes-128-cbc", "-a", "-A", "-nosalt", "-K", hex, "-iv", strings.Repeat("0", 32), "-in", file).Output()
	require.NoError(t, err)
	require.Equal(t, plain, string(out[32:]))
	cmd := exec.Command(openssl, "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:"+hex)
	cmd.Stdin = bufio.NewReader(strings.NewReader(plain))
	mac, err := cmd.Output()
	require.NoError(t, err)
	require.Contains(t, string(mac), fmt.Sprintf("%x", out[:32]))
}
