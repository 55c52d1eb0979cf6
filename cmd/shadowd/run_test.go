package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/config"
)

// call runs shadowd with a configuration and returns what it said.
func call(t *testing.T, file string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shadowing.toml")
	require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
	var out, errs bytes.Buffer
	code = run(t.Context(), nil, append([]string{"--config", path}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestCheckNamesEveryMistake(t *testing.T) {
	code, _, stderr := call(t, "ShadowingUseSSL = 3\n\n[ports]\nfrist = 1\n", "--check")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, ":1: ShadowingUseSSL: 3 isn't allowed")
	assert.Contains(t, stderr, ":4: ports.frist")

	code, stdout, _ := call(t, "ShadowingUseSSL = 0x00000000\n[viewer]\norigins = [\"https://director.corp\", \"*.corp:8443\"]\n", "--check")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "fine")
}

func TestPrintConfigLoadsBack(t *testing.T) {
	code, stdout, _ := call(t, "[ports]\nfirst = 6010\n", "--print-config")
	require.Zero(t, code)
	path := filepath.Join(t.TempDir(), "printed.toml")
	require.NoError(t, os.WriteFile(path, []byte(stdout), 0o600))
	cfg, err := config.Load(path)
	require.NoError(t, err)
	assert.Equal(t, 6010, cfg.Ports.First)
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--bogus"}, {"extra"}, {"--log-format", "xml"}} {
		code, _, stderr := call(t, "", args...)
		assert.Equal(t, 2, code, args)
		assert.Contains(t, stderr, "--help", args)
	}
	var out, errs bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), nil, []string{"--config", "/nonexistent.toml"}, &out, &errs))
	assert.Contains(t, errs.String(), "/nonexistent.toml")
	out.Reset()
	assert.Zero(t, run(t.Context(), nil, []string{"--help"}, &out, &errs))
	assert.Contains(t, out.String(), "--print-config")
}

// What a console should know before it asks is what the configuration says.
func TestTerms(t *testing.T) {
	cfg := config.Default()
	cfg.Consent.Timeout, cfg.Consent.Purpose, cfg.Viewer.Reconnect, cfg.Consent.Prompter = 45*time.Second, "hidden", 0, "deny"
	require.Equal(t, &api.Terms{Timeout: 45, Reconnect: new(float64), Purpose: "hidden", Prompter: "deny"}, terms(cfg))
}

// The audit goes to its own file where one is named.
func TestAuditFile(t *testing.T) {
	cfg := config.Default()
	cfg.Log.Audit = filepath.Join(t.TempDir(), "audit.log")
	cfg.Log.Level = "error"
	var log bytes.Buffer
	out, err := openOutputs(cfg, &log)
	require.NoError(t, err)
	step := shadow.Event{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Type: shadow.EventRequested, ID: "i", Session: "c2", Admin: "alice"}
	require.NoError(t, out.audit(step))
	out.logger.Info().Msg("quiet")
	out.close()
	data, err := os.ReadFile(cfg.Log.Audit)
	require.NoError(t, err)
	assert.JSONEq(t, `{"time":"2026-01-02T03:04:05Z","type":"requested","id":"i","session":"c2","admin":"alice"}`, string(data))
	assert.Empty(t, log.String())

	// Without one it is part of the log, whatever a host program does to zerolog.
	level := zerolog.GlobalLevel()
	defer zerolog.SetGlobalLevel(level)
	zerolog.SetGlobalLevel(zerolog.Disabled)
	cfg.Log.Audit = ""
	out, err = openOutputs(cfg, &log)
	require.NoError(t, err)
	require.NoError(t, out.audit(step))
	out.close()
	assert.Equal(t, string(data), log.String())
	log.Reset()
	cfg.Log.Format = "console"
	out, err = openOutputs(cfg, &log)
	require.NoError(t, err)
	require.NoError(t, out.audit(step))
	out.close()
	assert.Regexp(t, `INF shadow requested .*admin=alice`, log.String())

	cfg.Log.Audit = filepath.Join(t.TempDir(), "missing", "audit.log")
	_, err = openOutputs(cfg, &log)
	assert.ErrorContains(t, err, "audit")
}

// A hangup applies the log's level and the fleet, and says when a change needs a restart.
func TestHangupSaysWhatNeedsARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shadowing.toml")
	var log bytes.Buffer
	out, err := openOutputs(config.Default(), &log)
	require.NoError(t, err)
	var joined config.Fleet
	r := &reloader{path: path, fingerprint: config.Default().Fingerprint(), out: out, join: func(c *config.Config) error { joined = c.Fleet; return nil }}
	for _, file := range []string{"[log]\nlevel = \"debug\"\n", "ShadowingUseSSL = 1\n[fleet]\nspool_mib = 8\n", "[consent]\nbell = true\n"} {
		require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
		r.reload()
		switch {
		case strings.Contains(file, "debug"):
			assert.Equal(t, int32(zerolog.DebugLevel), out.level.Load())
		case strings.Contains(file, "fleet"):
			assert.Equal(t, 8, joined.SpoolMiB)
		}
	}
	out.close()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 3, log.String())
	for i, level := range []string{"info", "info", "warn"} {
		assert.Contains(t, lines[i], `"level":"`+level+`"`)
	}
	assert.Contains(t, lines[2], "restart")
}

// pair writes a certificate for a host, and its key.
func pair(t *testing.T, dir, host string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{host}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"shadowingcert.pem": {Type: "CERTIFICATE", Bytes: cert}, "shadowingkey.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}

// What is announced of the certificate is what requests will meet: without
// viewer.host it has to name this host.
func TestAnnouncedCertificate(t *testing.T) {
	host, err := shadow.FQDN(t.Context())
	require.NoError(t, err)
	cfg := config.Default()
	cfg.TLS.Dir = t.TempDir()
	pair(t, cfg.TLS.Dir, "elsewhere.example")
	var log bytes.Buffer
	announced := func() {
		logger := zerolog.New(&log)
		announceCertificate(t.Context(), logger, cfg.Viewer.Host, certificates(cfg, logger))
	}
	announced()
	assert.Contains(t, log.String(), "is for elsewhere.example, not for "+host)
	log.Reset()
	cfg.Viewer.Host = "elsewhere.example"
	announced()
	assert.NotContains(t, log.String(), "not for")
}

// A bad new certificate doesn't replace the good one that viewers were granted
// with, new requests don't get it either, and the log says all of it once.
func TestChangedCertificate(t *testing.T) {
	cfg := config.Default()
	cfg.TLS.Dir = t.TempDir()
	synctest.Test(t, func(t *testing.T) { // where a second passes at once
		pair(t, cfg.TLS.Dir, "vda1.corp.example")
		var log bytes.Buffer
		store := certificates(cfg, zerolog.New(&log))
		granted, err := store.TLSConfig("vda1.corp.example")
		require.NoError(t, err)
		served := func() *tls.Certificate {
			time.Sleep(time.Second)
			c, err := granted.GetCertificate(&tls.ClientHelloInfo{})
			require.NoError(t, err)
			return c
		}
		first := served()
		assert.NotContains(t, log.String(), "the changed certificate")
		log.Reset() // it has signed itself

		path := filepath.Join(cfg.TLS.Dir, "shadowingcert.pem")
		require.NoError(t, os.WriteFile(path, []byte("no certificate"), 0o600))
		assert.Same(t, first, served())
		assert.Same(t, first, served())
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		assert.Contains(t, log.String(), `"level":"error"`)
		assert.Contains(t, log.String(), path)
		assert.Contains(t, log.String(), "new requests are refused with tls_config")
		_, err = store.TLSConfig("vda1.corp.example")
		require.Error(t, err, "a new request gets the new certificate or none")

		log.Reset()
		pair(t, cfg.TLS.Dir, "vda1.corp.example")
		assert.NotEqual(t, first.Certificate, served().Certificate)
		assert.Contains(t, log.String(), "the changed certificate is in use")
	})
}

// What browsers won't like about a certificate is logged once: when it is
// announced or, for one that comes later, at the next request or handshake.
func TestWarningsOfACertificate(t *testing.T) {
	cfg := config.Default()
	cfg.TLS.Dir, cfg.Viewer.Host = t.TempDir(), "vda1.corp.example"
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := zerolog.New(&log)
		store := certificates(cfg, logger)
		request := func() *tls.Config {
			config, err := store.TLSConfig(cfg.Viewer.Host)
			require.NoError(t, err)
			return config
		}
		warned := func(name string) {
			t.Helper()
			assert.Equal(t, 1, strings.Count(log.String(), "is for "+name+", not for vda1.corp.example"), log.String())
			assert.Contains(t, log.String(), `"level":"warn"`)
			log.Reset()
		}
		pair(t, cfg.TLS.Dir, "vda2.corp.example")
		announceCertificate(t.Context(), logger, cfg.Viewer.Host, store)
		warned("vda2.corp.example")
		request()
		request()
		assert.Empty(t, log.String(), "it is known already")

		pair(t, cfg.TLS.Dir, "vda3.corp.example")
		granted := request()
		request()
		warned("vda3.corp.example")

		pair(t, cfg.TLS.Dir, "vda4.corp.example")
		time.Sleep(time.Second)
		_, err := granted.GetCertificate(&tls.ClientHelloInfo{})
		require.NoError(t, err)
		assert.Contains(t, log.String(), "the changed certificate is in use")
		warned("vda4.corp.example")
		request()
		assert.Empty(t, log.String())
	})
}

// The words at the start are of the settings, whatever else is wrong.
func TestAnnouncedSettings(t *testing.T) {
	for file, want := range map[string]string{
		"": "ShadowingUseSSL is 0: viewers connect with ws, which a page that was loaded over https can't do",
		"ShadowingUseSSL = 1\n[tls]\ndir = \"/nonexistent\"\n":                                         "every request is refused with tls_config",
		"EnableSessionShadowing = 0\n":                                                                 "EnableSessionShadowing is 0: every request is refused with disabled",
		"[[consent.rules]]\nusers = [\"a\"]\nanswer = \"ask\"\n[[consent.rules]]\nanswer = \"deny\"\n": `"rule":"2","text":"answer = \"deny\"","message":"a rule of consent"`,
		"settings = \"ctxreg\"\nctxreg = \"/nonexistent\"\n":                                           "the settings can't be read",
	} {
		path := filepath.Join(t.TempDir(), "shadowing.toml")
		require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
		cfg, err := config.Load(path)
		require.NoError(t, err)
		var log bytes.Buffer
		logger := zerolog.New(&log)
		announce(t.Context(), logger, cfg, certificates(cfg, logger), path)
		assert.Contains(t, log.String(), want)
	}
}
