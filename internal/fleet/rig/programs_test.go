package rig_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
)

// patience is for what should happen soon.
const patience = testenv.Patience

// programs is the folder of the built programs, for all tests.
var programs string

func TestMain(m *testing.M) {
	code := 1
	dir, err := os.MkdirTemp("/var/tmp", "shadow-rig-") // not /tmp, which a test may have to itself
	if err == nil {
		programs = dir
		if err = os.Chmod(dir, 0o755); err == nil { // sessions' users execute the programs
			code = m.Run()
		}
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// build builds the programs, or takes those that the test around this one has built.
var build = sync.OnceValue(func() error { return buildWith() })

// buildWith is build with flags of go build.
func buildWith(flags ...string) error {
	if dir := os.Getenv(builtVariable); dir != "" {
		programs = dir
		return nil
	}
	args := append([]string{"build", "-o", programs + "/"}, flags...)
	args = append(args, "vda.internal/shadow/cmd/shadowd", "vda.internal/shadow/cmd/shadowctl", "vda.internal/shadow/cmd/shadowgate",
		"github.com/nats-io/nats-server/v2")
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.Setenv(builtVariable, programs)
}

const builtVariable = "SHADOW_TEST_PROGRAMS"

// A log is what a program has said.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *log) wait(t *testing.T, what string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(l.String(), what) }, patience, 50*time.Millisecond, "it never says %q:\n%s", what, l)
}

// A process is a program that runs.
type process struct {
	*exec.Cmd
	log   *log
	ended chan struct{}
}

// start starts a program in a network namespace; "": the test's.
func start(t *testing.T, space, name string, args ...string) *process {
	t.Helper()
	require.NoError(t, build())
	return startWith(t, space, nil, filepath.Join(programs, name), args...)
}

// startWith is start of a program anywhere, with more in its environment.
func startWith(t *testing.T, space string, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{log: &log{}, ended: make(chan struct{})}
	p.Cmd = exec.Command(path, args...)
	if space != "" {
		p.Cmd = exec.Command("ip", append([]string{"netns", "exec", space, path}, args...)...)
	}
	p.Env = append(os.Environ(), env...)
	p.Stdout, p.Stderr = p.log, p.log
	require.NoError(t, p.Start())
	go func() {
		defer close(p.ended)
		_ = p.Wait()
	}()
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s %s:\n%s", space, filepath.Base(path), p.log)
		}
	})
	return p
}

// end ends it by a signal.
func (p *process) end(by syscall.Signal) {
	_ = p.Process.Signal(by)
	<-p.ended
}

// command runs a program in a namespace until it ends, and returns what it says.
func command(t *testing.T, space, input, name string, args ...string) (string, error) {
	t.Helper()
	require.NoError(t, build())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	full := append([]string{filepath.Join(programs, name)}, args...)
	if space != "" {
		full = append([]string{"ip", "netns", "exec", space}, full...)
	}
	cmd := exec.CommandContext(ctx, full[0], full[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is command that has to do it.
func must(t *testing.T, space, input, name string, args ...string) string {
	t.Helper()
	out, err := command(t, space, input, name, args...)
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return out
}

// certificate writes a certificate for addresses, which vouches for itself, as tlsstore takes it.
func certificate(t *testing.T, dir string, addresses ...string) (file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true, IsCA: true,
	}
	for _, a := range addresses {
		if ip := net.ParseIP(a); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, a)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	file = filepath.Join(dir, "shadowingcert.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shadowingkey.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return file
}

// ready waits until a gate answers. A gate that has ended instead fails the test.
func ready(t *testing.T, p *process, c *testgate.Client) {
	t.Helper()
	c.HTTP.Timeout = 5 * time.Second
	require.Eventually(t, func() bool {
		select {
		case <-p.ended:
			t.Fatalf("the gate has ended:\n%s", p.log)
		default:
		}
		resp, err := c.Send(t.Context(), http.MethodGet, "/healthz", nil)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}, patience, 100*time.Millisecond, "the gate doesn't answer")
}

// screens serves testgate's picture on a socket, for hosts' sessions.
func screens(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "screen")
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			go func() {
				screen, _ := testgate.Source{}.Open(context.Background(), nil)
				go func() { _, _ = io.Copy(screen, c); _ = screen.Close() }()
				_, _ = io.Copy(c, screen)
				_ = c.Close()
			}()
		}
	}()
	return path
}

// hostConfig is a host's configuration with sessions s1 of nobody, who agrees.
func hostConfig(dir, screen, address, fleet string) []byte {
	return fmt.Appendf(nil, `[log]
audit = %q
[control]
socket = %q
[viewer]
host = %q
[consent]
prompter = "allow"
banner = false
[source]
kind = "dial"
dial = "unix:%s"
[sessions]
resolver = "static"
[[sessions.static]]
id = "s1"
user = "nobody"
display = ":64001"
[fleet]
%s
`, filepath.Join(dir, "audit.log"), filepath.Join(dir, "control.sock"), address, screen, fleet)
}

// private is a folder whose parents only root can change, as a spool needs.
func private(t *testing.T) string {
	t.Helper()
	testenv.Root(t)
	dir, err := os.MkdirTemp("/run", "shadow-rig-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
