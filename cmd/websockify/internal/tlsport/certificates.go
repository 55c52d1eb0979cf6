package tlsport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"vda.internal/shadow/tlsstore"
)

// Certificates is what a port needs for TLS. The files are read for every
// connection; a missing CertFile means that there is no TLS at the moment.
type Certificates struct {
	CertFile        string   // the certificate and its chain; and the key, unless KeyFile; see tlsstore.KeyPair
	KeyFile         string   // empty: CertFile
	KeyPassword     string   // of an encrypted key; empty: KeyPasswordFile has it
	KeyPasswordFile string   // whose first line is the password; empty: there is none
	VerifyClient    bool     // ask for a client's certificate, and refuse those without
	CAFile          string   // PEM: who may vouch for clients; empty: the system's authorities
	MinVersion      uint16   // 0: TLS 1.2
	CipherSuites    []uint16 // up to TLS 1.2; nil: crypto/tls's

	mu     sync.Mutex
	cached cache
}

// A cache keeps what was made of files that have not changed.
type cache struct {
	cert, key, ca, password []byte
	config                  *tls.Config
}

// isOf reports whether both were made of the same content.
func (c cache) isOf(now cache) bool {
	return c.config != nil && bytes.Equal(c.cert, now.cert) && bytes.Equal(c.key, now.key) &&
		bytes.Equal(c.ca, now.ca) && bytes.Equal(c.password, now.password)
}

// Present reports whether there is a CertFile.
func (c *Certificates) Present() bool {
	_, err := os.Stat(c.CertFile)
	return err == nil
}

// Config returns a server's configuration that reads the files for every
// connection.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12, // of the config that GetConfigForClient gives, MinVersion counts
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.load() },
	}
}

// Check reads the files and returns what is wrong with them, if they are there.
func (c *Certificates) Check() error {
	_, err := c.load()
	if errors.Is(err, fs.ErrNotExist) && !c.Present() {
		return nil
	}
	return err
}

func (c *Certificates) load() (*tls.Config, error) {
	now := cache{}
	var err error
	if now.cert, err = os.ReadFile(c.CertFile); err != nil {
		return nil, err
	}
	if c.KeyFile != "" {
		if now.key, err = os.ReadFile(c.KeyFile); err != nil {
			return nil, err
		}
	}
	if now.password, err = c.password(); err != nil {
		return nil, err
	}
	if c.VerifyClient && c.CAFile != "" {
		if now.ca, err = os.ReadFile(c.CAFile); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cached.isOf(now) {
		return c.cached.config, nil
	}
	if now.config, err = c.parse(now); err != nil {
		return nil, err
	}
	c.cached = now
	return now.config, nil
}

func (c *Certificates) parse(now cache) (*tls.Config, error) {
	pair, err := tlsstore.KeyPair(tlsstore.File{Path: c.CertFile, Data: now.cert}, tlsstore.File{Path: c.KeyFile, Data: now.key}, now.password)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, passwordHint(err))
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   max(c.MinVersion, tls.VersionTLS10),
		CipherSuites: c.CipherSuites,
	}
	if c.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	if !c.VerifyClient {
		return config, nil
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	if now.ca != nil {
		if config.ClientCAs, err = Authorities(c.CAFile, now.ca); err != nil {
			return nil, err
		}
	}
	return config, nil
}

// Authorities are the certificates in a file's content, in PEM, with or without
// the byte order mark that some editors put in front.
func Authorities(name string, content []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bytes.TrimPrefix(content, []byte("\ufeff"))) {
		return nil, fmt.Errorf("%s has no certificate in PEM", name)
	}
	return pool, nil
}

// password is the key's; nil if there is none.
func (c *Certificates) password() ([]byte, error) {
	switch {
	case c.KeyPassword != "":
		return []byte(c.KeyPassword), nil
	case c.KeyPasswordFile == "":
		return nil, nil
	}
	b, err := os.ReadFile(c.KeyPasswordFile)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

// passwordHint says which options there are if a password is what is missing.
func passwordHint(err error) string {
	if e, ok := errors.AsType[*tlsstore.LoadError](err); ok {
		switch e.Findings[0].Code {
		case tlsstore.Encrypted, tlsstore.BadPassphrase:
			return " (--key-password-file, or --key-password)"
		}
	}
	return ""
}
