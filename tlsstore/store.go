package tlsstore

import (
	"crypto/tls"
	"errors"
	"slices"
)

// DefaultDir is the directory of a Store that names none.
const DefaultDir = "/etc/xdl/shadowingssl"

// A Store is the directory that the certificate and the key are in. The zero
// Store is ready to use. It keeps nothing between calls and is safe for
// concurrent use.
type Store struct {
	Dir string // empty: DefaultDir
}

// A Pair is a certificate and its key, as they are used.
type Pair struct {
	Certificate tls.Certificate // leaf first; Leaf is set
	CertFile    string          // where the certificate was found
	KeyFile     string          // where the key was found; may be CertFile
	Findings    []Finding       // warnings only
}

// TLSConfig reads the pair and returns what a server on the machine host
// needs: TLS 1.2 or later, and HTTP/1.1 alone, since a WebSocket begins as
// such. The caller owns the config. The error is Load's.
func (s *Store) TLSConfig(host string) (*tls.Config, error) {
	pair, err := s.Load(host)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair.Certificate},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
	}, nil
}

// Load reads the pair and checks it for the machine host, the name that
// viewers connect to; an empty host leaves the check of the name out. The
// error is a [*LoadError].
func (s *Store) Load(host string) (*Pair, error) {
	dir := s.Dir
	if dir == "" {
		dir = DefaultDir
	}
	found, err := find(dir)
	if err != nil {
		return nil, err
	}
	certs, key, err := found.read()
	var le *LoadError
	if errors.As(err, &le) {
		le.Findings = append(le.Findings, found.findings...)
	}
	if err != nil {
		return nil, err
	}

	findings := append(found.findings, check(found, certs, key, host)...)
	if slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error }) {
		return nil, &LoadError{Findings: findings}
	}
	pair := &Pair{CertFile: found.cert, KeyFile: found.key, Findings: findings}
	pair.Certificate.PrivateKey = key
	pair.Certificate.Leaf = certs[0]
	for _, c := range certs {
		pair.Certificate.Certificate = append(pair.Certificate.Certificate, c.Raw)
	}
	return pair, nil
}
