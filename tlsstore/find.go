package tlsstore

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The files' names, up to the suffix.
const (
	certPrefix = "shadowingcert."
	keyPrefix  = "shadowingkey."
)

// suffixes are those that are preferred, best first.
var suffixes = []string{"pem", "crt", "cer", "key", "der", "pfx", "p12"}

// leftovers are how the names of copies end that nobody means to be used.
var leftovers = []string{"~", ".bak", ".old", ".orig", ".save", ".swp", ".swo", ".swn", ".tmp", ".rpmsave", ".rpmnew", ".rpmorig"}

// A found is the files of a directory that are to be used.
type found struct {
	dir      string
	cert     string // path of the certificate
	key      string // path of the key; the certificate's if there is no file for the key
	findings []Finding

	credentials string // directory of the service's credentials; empty: none

	named bool   // the files were named by the caller of KeyPair, not found in a Store
	given []byte // the passphrase that came with them
}

// find looks for the certificate and the key in dir.
func find(dir string) (*found, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, refuse(NoDir, err, fmt.Sprintf("the directory %s can't be found: %v", dir, err), "give its full path")
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse(NoDir, err, fmt.Sprintf("the directory %s doesn't exist", dir),
			fmt.Sprintf("make it with: mkdir -p -m 755 %s, and put shadowingcert.pem and shadowingkey.pem into it", quote(dir)))
	case err != nil:
		return nil, refuse(NoDir, err, fmt.Sprintf("the directory %s can't be read: %v", dir, reason(err)),
			fmt.Sprintf("let uid %d, as which this program runs, read it: chmod 755 %s", os.Geteuid(), quote(dir)))
	}
	f := &found{dir: dir}
	f.cert = f.pick(entries, certPrefix, "certificate")
	if f.cert == "" {
		return nil, refuse(NoCert, nil, fmt.Sprintf("there is no %s* in %s", certPrefix, dir),
			fmt.Sprintf("put the host's certificate there as %s", filepath.Join(dir, "shadowingcert.pem")))
	}
	f.key = f.pick(entries, keyPrefix, "key")
	if f.key == "" {
		f.key = f.cert
	}
	return f, nil
}

// pick chooses one of the files with the prefix and notes which it left aside.
func (f *found) pick(entries []fs.DirEntry, prefix, what string) string {
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && !e.IsDir() && !isLeftover(e.Name()[len(prefix):]) {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a[len(prefix):]), rank(b[len(prefix):])), cmp.Compare(a, b))
	})
	path := filepath.Join(f.dir, names[0])
	if len(names) > 1 {
		f.findings = append(f.findings, Finding{
			Severity: Warning, Code: Several,
			Sentence: fmt.Sprintf("several files could be the %s: %s is used and %s left aside", what, path, strings.Join(names[1:], ", ")),
			Remedy:   "remove or rename what isn't meant",
		})
	}
	return path
}

// rank is the place of a suffix in the order of preference.
func rank(suffix string) int {
	if i := slices.Index(suffixes, strings.ToLower(suffix)); i >= 0 {
		return i
	}
	return len(suffixes)
}

// isLeftover reports whether what stands behind the prefix is a copy's. Copies
// may be numbered: pem.1, pem.bak2.
func isLeftover(suffix string) bool {
	name := strings.ToLower("." + suffix)
	plain := strings.TrimRight(name, "0123456789")
	numbered := plain != name && len(plain) > 1 && strings.HasSuffix(plain, ".")
	return numbered || strings.Contains(name, ".dpkg-") || slices.ContainsFunc(leftovers, func(end string) bool {
		return strings.HasSuffix(name, end) || strings.HasSuffix(plain, end)
	})
}

// read reads the files: the certificates in their order, and the key.
func (f *found) read() ([]*x509.Certificate, crypto.Signer, error) {
	me := self()
	file, err := me.open(f.cert, "certificate")
	if err != nil {
		return nil, nil, err
	}
	c, err := f.decode(file, f.key == f.cert)
	if err != nil {
		return nil, nil, err
	}
	certs, err := f.certsOf(c)
	if err != nil {
		return nil, nil, err
	}
	if c.keys > 0 {
		if err := me.checkSecret(file); err != nil {
			return nil, nil, err
		}
	}
	if f.key != f.cert {
		if file, err = me.open(f.key, "key"); err != nil {
			return nil, nil, err
		}
		if err := me.checkSecret(file); err != nil {
			return nil, nil, err
		}
		if c, err = f.decode(file, true); err != nil {
			return nil, nil, err
		}
	}
	k, err := f.keyOf(c)
	return certs, k, err
}

// certsOf are the certificates in c, which is what f.cert holds.
func (f *found) certsOf(c *contents) ([]*x509.Certificate, error) {
	if len(c.certs) == 0 {
		return nil, refuse(BadFormat, nil, fmt.Sprintf("%s holds no certificate%s", f.cert, c.others()), "put the host's certificate there")
	}
	return c.certs, nil
}

// keyOf is the key in c, which is what f.key holds.
func (f *found) keyOf(c *contents) (crypto.Signer, error) {
	switch {
	case c.keys > 1:
		return nil, refuse(BadFormat, nil, fmt.Sprintf("%s holds %d private keys", f.key, c.keys), "leave the one that belongs to the certificate")
	case c.keys == 1:
		return c.key, nil
	case f.key == f.cert && f.named:
		return nil, refuse(NoKey, nil, "there is no private key in "+f.cert, "append the certificate's private key, or name the file that it is in")
	case f.key == f.cert:
		return nil, refuse(NoKey, nil, fmt.Sprintf("there is no %s* in %s, and no private key in %s", keyPrefix, f.dir, f.cert),
			fmt.Sprintf("put the certificate's private key there as %s, with mode 600", f.pem(keyPrefix)))
	}
	return nil, refuse(BadFormat, nil, fmt.Sprintf("%s holds no private key%s", f.key, c.others()),
		"put the certificate's private key there")
}

// pem is the path that a converted file should have.
func (f *found) pem(prefix string) string {
	switch {
	case f.named && prefix == keyPrefix:
		return f.key
	case f.named:
		return f.cert
	}
	return filepath.Join(f.dir, prefix+"pem")
}
