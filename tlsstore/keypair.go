package tlsstore

import (
	"cmp"
	"crypto/tls"
	"path/filepath"
	"time"
)

// A File is the content of a file, for [KeyPair].
type File struct {
	Path string // for messages
	Data []byte // PEM, DER or PKCS #12
}

// KeyPair makes a certificate of files that aren't in a [Store]. It reads what a Store reads, and
// keys in PEM's own old encryption besides, and puts the chain in order. It checks neither the
// files' owners and modes nor anything that a Store warns about.
//
// The zero key means that cert also has the key. The passphrase decrypts; nil means that there is
// none. The error is a [*LoadError].
func KeyPair(cert, key File, passphrase []byte) (tls.Certificate, error) {
	f := &found{cert: cert.Path, key: cmp.Or(key.Path, cert.Path), dir: filepath.Dir(cert.Path), named: true, given: passphrase}
	c, err := f.decode(&file{path: f.cert, what: "certificate", data: cert.Data}, f.key == f.cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	certs, err := f.certsOf(c)
	if err != nil {
		return tls.Certificate{}, err
	}
	if f.key != f.cert {
		if c, err = f.decode(&file{path: f.key, what: "key", data: key.Data}, true); err != nil {
			return tls.Certificate{}, err
		}
	}
	signer, err := f.keyOf(c)
	if err != nil {
		return tls.Certificate{}, err
	}
	ch := arrange(certs, signer, time.Now())
	if ch == nil {
		return tls.Certificate{}, &LoadError{Findings: []Finding{f.mismatch(certs)}}
	}
	pair := tls.Certificate{PrivateKey: signer, Leaf: ch.certs[0]}
	for _, c := range ch.certs {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	return pair, nil
}
