package setup

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/tlsstore"
)

// A Choice is what is done about a certificate that isn't there.
type Choice string

// The choices. The zero Choice is None.
const (
	Request    Choice = "request"     // print the command that makes a request for the site's authority
	SelfSigned Choice = "self-signed" // make a pair that has signed itself, for a trial
	None       Choice = "none"        // viewers connect with ws
)

// Choices lists them.
func Choices() []Choice { return []Choice{Request, SelfSigned, None} }

// A PairState is what there is of a certificate and its key.
type PairState string

// The states of a pair.
const (
	PairFine    PairState = "fine"    // it can be used, and is for the host
	PairMissing PairState = "missing" // there is neither certificate nor key
	PairWaiting PairState = "waiting" // there is a key, and no certificate yet
	PairUnfit   PairState = "unfit"   // it can't be used, or browsers will refuse it
)

// A Pair is what was found of the certificate and its key.
type Pair struct {
	State  PairState
	Found  string // what is there: lower case, without a full stop
	Remedy string // what to do, likewise; empty if it is fine
}

// The names of the files that are made.
const (
	certName = "shadowingcert.pem"
	keyName  = "shadowingkey.pem"
)

// refused are the warnings of a certificate that browsers refuse whatever they trust.
var refused = []tlsstore.Code{tlsstore.NameMismatch, tlsstore.CNOnly, tlsstore.BadUsage, tlsstore.NotAuthority, tlsstore.WeakKey}

// judged is what a pair of dir, or the error with which it was looked at, means.
func judged(dir string, p *tlsstore.Pair, err error) Pair {
	var le *tlsstore.LoadError
	switch {
	case errors.As(err, &le):
		return unfit(dir, le.Findings)
	case err != nil:
		return Pair{PairUnfit, named.Text(err), "see that the files can be read"}
	}
	for _, f := range p.Findings {
		if slices.Contains(refused, f.Code) {
			return Pair{PairUnfit, f.Sentence, f.Remedy}
		}
	}
	leaf := p.Certificate.Leaf
	return Pair{State: PairFine, Found: fmt.Sprintf("%s is for %s and good until %s", p.CertFile, names(leaf), leaf.NotAfter.Format(time.DateOnly))}
}

// unfit is what the store's findings mean for a pair that can't be used.
func unfit(dir string, findings []tlsstore.Finding) Pair {
	worst := findings[0]
	for _, f := range findings {
		if f.Severity == tlsstore.Error {
			worst = f
			break
		}
	}
	if worst.Code != tlsstore.NoDir && worst.Code != tlsstore.NoCert {
		return Pair{PairUnfit, worst.Sentence, worst.Remedy}
	}
	if keys, _ := filepath.Glob(filepath.Join(dir, "shadowingkey.*")); len(keys) > 0 {
		return Pair{PairWaiting, fmt.Sprintf("there is a key, %s, and no certificate yet", keys[0]),
			"when the authority has issued it put the certificate, and those of the authorities in between, into " + filepath.Join(dir, certName)}
	}
	return Pair{PairMissing, "there is none in " + dir, "have one made; what is left to do below has the commands"}
}

// names are those that a certificate is for.
func names(leaf *x509.Certificate) string {
	list := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		list = append(list, ip.String())
	}
	return strings.Join(list, ", ")
}

// requestCommand is the command, for root's shell, that makes a key, and the request for a
// certificate of host. It works with every openssl from 1.0.2 on, which lacks -addext.
func requestCommand(dir, host string) string {
	kind := "DNS"
	if net.ParseIP(host) != nil {
		kind = "IP"
	}
	common := host
	if len(common) > 64 { // a common name's most
		common, _, _ = strings.Cut(host, ".")
	}
	return fmt.Sprintf(`(umask 077; mkdir -p %[1]s && openssl req -new -sha256 \
  -newkey rsa:3072 -nodes -keyout %[1]s/%[2]s \
  -out %[1]s/request.csr -config /dev/stdin) <<'END'
[req]
prompt = no
distinguished_name = name
req_extensions = extensions
[name]
CN = %[3]s
[extensions]
subjectAltName = %[4]s:%[5]s
keyUsage = digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
END`, quote(dir), keyName, common, kind, host)
}

// quote is a word for a shell.
func quote(word string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// trialTime is how long a pair that has signed itself is good for.
const trialTime = 90 * 24 * time.Hour

// makePair writes a certificate of host's that has signed itself, and its key, into dir, which
// is made if it isn't there. Nothing is overwritten.
func makePair(dir, host string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"shadowd trial"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(trialTime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	keyFile := filepath.Join(dir, keyName)
	if err := create(keyFile, 0o600, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		return err
	}
	if err := create(filepath.Join(dir, certName), 0o644, &pem.Block{Type: "CERTIFICATE", Bytes: cert}); err != nil {
		return errors.Join(err, os.Remove(keyFile))
	}
	return nil
}

// makeDir makes the folder of the pair, which is root's alone.
func makeDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// create makes a file in one step: it is there as a whole or not at all. A file that is there
// already is an error.
func create(path string, mode os.FileMode, block *pem.Block) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".*."+filepath.Base(path))
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = pem.Encode(f, block)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
