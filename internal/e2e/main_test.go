package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"vda.internal/shadow/internal/testenv"
)

// suite is what all tests share: the binary, the certificate, and one browser.
var suite struct {
	dir      string // for the daemon's binary and the certificate
	shadowd  string
	certs    string // directory with shadowingcert.pem and shadowingkey.pem
	cert     *x509.Certificate
	browser  context.Context
	pageHost string // host:port of the page with noVNC
	lack     string // what this machine lacks for all of it; empty: nothing
}

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil && os.Getenv(testenv.Variable) != "1" {
		suite.lack = err.Error()
		code, err = m.Run(), nil // each test skips with it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func setUp(m *testing.M) (int, error) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // they mostly wait for a user's pauses
		return 1, err
	}
	dir, err := os.MkdirTemp("", "shadow-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the session's user executes the binary
		return 1, err
	}
	suite.dir = dir
	suite.shadowd = filepath.Join(dir, "shadowd")
	args := append([]string{"build", "-o", suite.shadowd}, buildFlags...)
	if out, err := exec.Command("go", append(args, "vda.internal/shadow/cmd/shadowd")...).CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building shadowd: %w\n%s", err, out)
	}
	if err := makeCertificate(); err != nil {
		return 1, err
	}
	stopPage, err := servePage()
	if err != nil {
		return 1, err
	}
	defer stopPage()
	stopBrowser, err := startBrowser()
	if err != nil {
		return 1, err
	}
	defer stopBrowser()
	return m.Run(), nil
}

// makeCertificate writes a pair for 127.0.0.1 that no authority has signed.
func makeCertificate() error {
	suite.certs = filepath.Join(suite.dir, "shadowingssl")
	if err := os.Mkdir(suite.certs, 0o700); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "e2e"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if suite.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM("shadowingcert.pem", "CERTIFICATE", der, 0o644); err != nil {
		return err
	}
	return writePEM("shadowingkey.pem", "PRIVATE KEY", keyDER, 0o600)
}

func writePEM(name, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(filepath.Join(suite.certs, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

// startBrowser starts Chromium. It accepts the suite's certificate by its key
// and no other unknown one.
func startBrowser() (stop func(), err error) {
	spki := sha256.Sum256(suite.cert.RawSubjectPublicKeyInfo)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // it may run as root
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(spki[:])),
		chromedp.UserDataDir(filepath.Join(suite.dir, "chromium")),
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
	)
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	browser, cancelBrowser := chromedp.NewContext(allocator)
	stop = func() { _ = chromedp.Cancel(browser); cancelBrowser(); cancelAllocator() }
	if err := chromedp.Do(browser, chromedp.EmulateViewport(1100, 850)); err != nil {
		stop()
		return nil, fmt.Errorf("starting Chromium (Debian package chromium): %w", err)
	}
	suite.browser = browser
	return stop, nil
}
