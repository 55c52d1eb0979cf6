package tlsstore

import (
	"cmp"
	"crypto/tls"
	"errors"
	"os"
	"slices"
	"time"
)

// DefaultDir is the directory of a Store that names none.
const DefaultDir = "/etc/xdl/shadowingssl"

// A Store is the directory that the certificate and the key are in. The zero
// Store is ready to use. It is safe for concurrent use as long as its fields
// aren't changed.
type Store struct {
	Dir string // empty: DefaultDir

	// Strict makes an error of each warning that means that browsers will
	// refuse the certificate.
	Strict bool

	// Credentials is the directory in which systemd puts a service's
	// credentials; empty: the one that $CREDENTIALS_DIRECTORY names, if any.
	Credentials string

	// OnLoad is called by TLSConfig with the pair of the config that it returns,
	// for what the pair's findings warn of. It may be called concurrently. Nil
	// ignores it.
	OnLoad func(pair *Pair)

	// OnReload is called when a config of TLSConfig's takes a changed pair, or
	// refuses it (err is a [*LoadError], pair is nil) and keeps the one it has,
	// but once for the same refusal, and when it takes a pair after a refusal.
	// It runs within a viewer's handshake and may be called concurrently. Nil
	// ignores it.
	OnReload func(pair *Pair, err error)
}

// A Pair is a certificate and its key, as they are used.
type Pair struct {
	Certificate tls.Certificate // leaf first, then the authorities' without the root; Leaf is set
	CertFile    string          // where the certificate was found
	KeyFile     string          // where the key was found; may be CertFile
	Findings    []Finding       // warnings only
}

// suites are those of TLS 1.2 with forward secrecy and authenticated
// encryption; those of TLS 1.3 are all so.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// TLSConfig reads the pair and returns what a server on the machine host
// needs: TLS 1.2 or later, and HTTP/1.1 alone, since a WebSocket begins as
// such. The caller owns the config. The error is Load's.
//
// The config has a GetCertificate that looks for changed files at most once a
// second. A changed pair that Load would refuse doesn't replace the one in
// use; see OnReload.
func (s *Store) TLSConfig(host string) (*tls.Config, error) {
	now, stamp := time.Now(), s.stamp()
	pair, err := s.Load(host)
	if err != nil {
		return nil, err
	}
	live := &live{store: *s, checked: now, stamp: stamp}
	live.load = func() (*Pair, error) { return live.store.Load(host) }
	live.pair.Store(pair)
	if s.OnLoad != nil {
		s.OnLoad(pair)
	}
	return &tls.Config{
		GetCertificate: live.get,
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   slices.Clone(suites),
		NextProtos:     []string{"http/1.1"},
	}, nil
}

// Load reads the pair and checks it for the machine host, the name that
// viewers connect to; an empty host leaves the check of the name out. The
// error is a [*LoadError].
func (s *Store) Load(host string) (*Pair, error) {
	found, err := find(s.dir())
	if err != nil {
		return nil, err
	}
	found.credentials = s.credentials()
	certs, key, err := found.read()
	var le *LoadError
	if errors.As(err, &le) {
		le.Findings = append(le.Findings, found.findings...)
	}
	if err != nil {
		return nil, err
	}

	chain, findings := found.check(certs, key, host, time.Now())
	findings = append(found.findings, findings...)
	if s.Strict {
		for i, f := range findings {
			if f.Code != Several && f.Code != Unrelated {
				findings[i].Severity = Error
			}
		}
	}
	if slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error }) {
		return nil, &LoadError{Findings: findings}
	}
	pair := &Pair{CertFile: found.cert, KeyFile: found.key, Findings: findings}
	pair.Certificate.PrivateKey = key
	pair.Certificate.Leaf = chain[0]
	for _, c := range chain {
		pair.Certificate.Certificate = append(pair.Certificate.Certificate, c.Raw)
	}
	return pair, nil
}

func (s *Store) credentials() string { return cmp.Or(s.Credentials, os.Getenv(credentialsVariable)) }

func (s *Store) dir() string {
	if s.Dir == "" {
		return DefaultDir
	}
	return s.Dir
}
