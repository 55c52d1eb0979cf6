package enrol

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Credentials are what a host has of the fleet. Whoever has the file can be the host on the bus.
type Credentials struct {
	ID      string   `json:"id"`
	Seed    string   `json:"seed"` // of the host's nkey
	JWT     string   `json:"jwt"`
	Fleet   []string `json:"fleet"`        // public keys that vouch for gates
	Servers []string `json:"servers"`      // NATS URLs, for a configuration that names none
	CA      string   `json:"ca,omitempty"` // the only authorities that may vouch for the servers, in PEM; empty: the system's
}

const maxFile = 1 << 20 // bytes

// Load reads a file of credentials, which nobody else may read.
func Load(path string) (*Credentials, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode()&0o077 != 0 {
		return nil, fmt.Errorf("%s (mode %04o) can be read by others; do chmod 600 %[1]s", path, info.Mode().Perm())
	}
	var c Credentials
	if err := json.NewDecoder(io.LimitReader(f, maxFile)).Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %w; enrol this host again", path, err)
	}
	if c.ID == "" || c.Seed == "" || c.JWT == "" || len(c.Fleet) == 0 {
		return nil, fmt.Errorf("%s lacks something; enrol this host again", path)
	}
	return &c, nil
}

// Save writes the file in one step. Its folder is made.
func (c *Credentials) Save(path string) error {
	data, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return nil
}

// Authorities are those of CA; nil: the system's.
func (c *Credentials) Authorities() (*x509.CertPool, error) {
	if c.CA == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.CA)) {
		return nil, errors.New("the credentials' authorities have no certificate in PEM")
	}
	return pool, nil
}
