package tlsstore_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/tlsstore"
)

var update = flag.Bool("update", false, "write testdata/certs/findings.txt anew")

const (
	caseHost = "vda1.site.corp" // whom the cases' certificates are for
	script   = "../testdata/certs/make.sh"
	golden   = "../testdata/certs/findings.txt"
)

// TestCases makes a directory of directories, each with a certificate and key
// as an administrator could have put them there, and compares what is found in
// each, and what Chromium says of it, with testdata/certs/findings.txt.
func TestCases(t *testing.T) {
	testenv.Program(t, "openssl", "openssl")
	testenv.Program(t, "certutil", "libnss3-tools")
	testenv.Program(t, "chromium", "chromium")
	dir := newDir(t)
	out, err := exec.CommandContext(t.Context(), script, dir.path, rootFiles.cert, rootFiles.key).CombinedOutput()
	require.NoError(t, err, "%s (Debian package openssl): %s", script, out)
	makeCases(t, dir)
	browser := startBrowser(t)

	entries, err := os.ReadDir(dir.path)
	require.NoError(t, err)
	var got strings.Builder
	for _, e := range entries {
		got.WriteString(report(t, dir, e.Name(), browser))
	}
	t.Log("\n" + got.String())
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(entries), 40)
	assert.Equal(t, string(want), got.String(), "if the change is meant: go test ./tlsstore -run TestCases -update")
}

var date = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`)

// report says what is found in a case, and what Chromium makes of it.
func report(t *testing.T, all dir, name string, browser *browser) string {
	path := all.file(name)
	store := &tlsstore.Store{Dir: path}
	var b strings.Builder
	line := func(format string, args ...any) {
		text := strings.ReplaceAll(fmt.Sprintf(format, args...), path, "DIR")
		fmt.Fprintf(&b, "\t%s\n", date.ReplaceAllString(text, "DATE"))
	}
	fmt.Fprintln(&b, name)
	pair, err := store.Load(caseHost)
	var findings []tlsstore.Finding
	if err == nil {
		findings = pair.Findings
		line("%s: %d in the chain, %T", filepath.Base(pair.CertFile), len(pair.Certificate.Certificate), pair.Certificate.PrivateKey)
	} else {
		var le *tlsstore.LoadError
		require.ErrorAs(t, err, &le)
		findings = le.Findings
	}
	for _, f := range findings {
		line("%s %s: %s", f.Severity, f.Code, f)
	}
	_, strict := (&tlsstore.Store{Dir: path, Strict: true}).Load(caseHost)
	if err == nil && strict != nil {
		line("refused if strict")
	}

	config, err := store.TLSConfig(caseHost)
	if err != nil {
		config = careless(path)
	}
	if config == nil {
		return b.String()
	}
	line("Chromium: %s", browser.visit(t, config))
	return b.String()
}

// careless serves the PEM files of a directory as a server would that checks
// nothing. It returns nil if there are none.
func careless(dir string) *tls.Config {
	var pair tls.Certificate
	for _, name := range []string{"shadowingcert.pem", "shadowingkey.pem"} {
		rest, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			switch block.Type {
			case "CERTIFICATE":
				pair.Certificate = append(pair.Certificate, block.Bytes)
			case "PRIVATE KEY":
				pair.PrivateKey, err = x509.ParsePKCS8PrivateKey(block.Bytes)
				if err != nil {
					return nil
				}
			}
		}
	}
	if pair.Certificate == nil || pair.PrivateKey == nil {
		return nil
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// makeCases makes what openssl can't, or not in all its versions.
func makeCases(t *testing.T, all dir) {
	t.Helper()
	host := func(change func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.DNSNames = []string{caseHost}
			c.Subject.CommonName = caseHost
			if change != nil {
				change(c)
			}
		}
	}
	add := func(name string) dir {
		d := dir{t, all.file(name)}
		require.NoError(t, os.Mkdir(d.path, 0o755))
		return d
	}
	times := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to)
		}
	}
	const day = 24 * time.Hour
	good := issue(t, nil, nil, host(nil))

	expired := issue(t, nil, nil, host(times(-30*day, -day)))
	add("time-expired").pair(expired)
	add("time-not-yet").pair(issue(t, nil, nil, host(times(10*day, 30*day))))
	add("time-825-days").pair(issue(t, nil, nil, host(times(-time.Hour, 825*day-2*time.Hour))))
	renewed := issue(t, nil, expired.key, host(nil))
	d := add("time-renewed")
	d.write("shadowingcert.pem", 0o644, expired.pem(), renewed.pem())
	d.write("shadowingkey.pem", 0o600, renewed.keyPEM(t))

	middle := issue(t, nil, nil, func(c *x509.Certificate) {
		toAuthority("Old CA")(c)
		times(-30*day, -day)(c)
	})
	deep := issue(t, middle, nil, host(nil))
	d = add("chain-expired")
	d.write("shadowingcert.pem", 0o644, deep.pem(), middle.pem())
	d.write("shadowingkey.pem", 0o600, deep.keyPEM(t))

	d = add("name-address")
	d.pair(issue(t, nil, nil, host(func(c *x509.Certificate) {
		c.DNSNames = nil
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	})))
	d = add("wrong-key-and-expired")
	d.write("shadowingcert.pem", 0o644, expired.pem())
	d.write("shadowingkey.pem", 0o600, good.keyPEM(t))

	d = add("pem-cut")
	d.write("shadowingcert.pem", 0o644, good.pem()[:300])
	d.write("shadowingkey.pem", 0o600, good.keyPEM(t))
	d = add("pem-damaged")
	d.write("shadowingcert.pem", 0o644, block("CERTIFICATE", good.cert.Raw[:100]))
	d.write("shadowingkey.pem", 0o600, good.keyPEM(t))
	d = add("pem-byte-order-mark")
	d.write("shadowingcert.pem", 0o644, []byte("\ufeff"), good.pem())
	d.write("shadowingkey.pem", 0o600, good.keyPEM(t))
	d = add("der-cut")
	d.write("shadowingcert.der", 0o644, good.cert.Raw[:100])
	d.write("shadowingkey.der", 0o600, good.pkcs8(t))
	d = add("empty")
	d.write("shadowingcert.pem", 0o644)

	// The link that a ConfigMap's files are behind.
	d = add("linked")
	require.NoError(t, os.Mkdir(d.file("v1"), 0o755))
	dir{t, d.file("v1")}.pair(good)
	require.NoError(t, os.Symlink("v1", d.file("data")))
	for _, name := range []string{"shadowingcert.pem", "shadowingkey.pem"} {
		require.NoError(t, os.Symlink("data/"+name, d.file(name)))
	}

	for name, enc := range map[string]*pkcs12.Encoder{"p12-pbmac1": pkcs12.Modern2026, "p12-rc2": pkcs12.LegacyRC2, "p12-open": pkcs12.Passwordless} {
		password := "secret"
		if enc == pkcs12.Passwordless {
			password = ""
		}
		data, err := enc.Encode(good.key, good.cert, []*x509.Certificate{root.cert}, password)
		require.NoError(t, err)
		d := add(name)
		d.write("shadowingcert.p12", 0o600, data)
		d.write("shadowingpassphrase", 0o400, []byte(password+"\r\n"))
	}
}
