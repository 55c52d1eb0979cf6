package tlsport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/youmark/pkcs8"
)

// Certificates is what a port needs for TLS. The files are read for every
// connection; a missing CertFile means that there is no TLS at the moment.
type Certificates struct {
	CertFile     string   // PEM: the certificate, then its chain; and the key, unless KeyFile
	KeyFile      string   // PEM; empty: CertFile
	KeyPassword  string   // of an encrypted key
	VerifyClient bool     // ask for a client's certificate, and refuse those without
	CAFile       string   // PEM: who may vouch for clients; empty: the system's authorities
	MinVersion   uint16   // 0: TLS 1.2
	CipherSuites []uint16 // up to TLS 1.2; nil: crypto/tls's

	mu     sync.Mutex
	cached cache
}

// A cache keeps what was made of files that have not changed.
type cache struct {
	cert, key, ca []byte
	config        *tls.Config
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
	if now.cert, err = read(c.CertFile); err != nil {
		return nil, err
	}
	now.key = now.cert
	if c.KeyFile != "" {
		if now.key, err = read(c.KeyFile); err != nil {
			return nil, err
		}
	}
	if c.VerifyClient && c.CAFile != "" {
		if now.ca, err = read(c.CAFile); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.cached; old.config != nil && bytes.Equal(old.cert, now.cert) && bytes.Equal(old.key, now.key) && bytes.Equal(old.ca, now.ca) {
		return old.config, nil
	}
	if now.config, err = c.parse(now); err != nil {
		return nil, err
	}
	c.cached = now
	return now.config, nil
}

func (c *Certificates) parse(now cache) (*tls.Config, error) {
	key, err := decryptKey(now.key, c.KeyPassword)
	if err != nil {
		return nil, fmt.Errorf("tlsport: key: %w", err)
	}
	pair, err := tls.X509KeyPair(now.cert, key)
	if err != nil {
		return nil, fmt.Errorf("tlsport: %s: %w", c.CertFile, err)
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
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(now.ca) {
			return nil, fmt.Errorf("tlsport: %s has no certificate in PEM", c.CAFile)
		}
	}
	return config, nil
}

func read(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("tlsport: %w", err)
	}
	return b, nil
}

// decryptKey returns b with its private key readable: PKCS #8's encryption and
// the older one of PEM are taken off.
func decryptKey(b []byte, password string) ([]byte, error) {
	for rest := b; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil:
			return b, nil
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			continue
		case block.Type == "ENCRYPTED PRIVATE KEY":
			key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, []byte(password))
			if err != nil {
				return nil, fmt.Errorf("can't be decrypted with --key-password: %w", err)
			}
			der, err := x509.MarshalPKCS8PrivateKey(key)
			return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
		//lint:ignore SA1019 Keys are stored so, and what protects them there isn't decided here.
		case x509.IsEncryptedPEMBlock(block):
			//lint:ignore SA1019 See above.
			der, err := x509.DecryptPEMBlock(block, []byte(password))
			if err != nil {
				return nil, fmt.Errorf("can't be decrypted with --key-password: %w", err)
			}
			return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
		default:
			return b, nil
		}
	}
}
