package bus

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// The files of a folder of keys. With an organisation's own servers there is only the fleet's key, which
// may be a signing key of the account in accountFile.
const (
	operatorFile = "operator.nk"
	fleetFile    = "fleet.nk"
	systemFile   = "system.nk"
	accountFile  = "account.pub"
)

// Keys are the fleet's. Whoever has them can be any gate and any host on the bus; a host's question they
// can't skip.
type Keys struct {
	fleet    nkeys.KeyPair // signs the JWTs of hosts and gates
	account  string        // public key of the account
	operator nkeys.KeyPair // nil: the servers are somebody else's
	system   nkeys.KeyPair // of the account for the server's own events
}

// OpenKeys reads a folder of keys. With create it makes those that aren't there, if none is.
func OpenKeys(dir string, create bool) (*Keys, error) { return openKeys(dir, create, nil) }

// MakeKeys is OpenKeys for root, who makes what isn't there for somebody else: give is called with each folder and each file that has been
// made, as what was made is known by nothing but its descriptor in a folder that others can change.
func MakeKeys(dir string, give func(made *os.File) error) (*Keys, error) {
	return openKeys(dir, true, give)
}

func openKeys(dir string, create bool, give func(*os.File) error) (*Keys, error) {
	k := &Keys{}
	var err error
	if k.fleet, err = readKey(dir, fleetFile, nkeys.PrefixByteAccount); errors.Is(err, fs.ErrNotExist) && create {
		if err := createKeys(dir, give); err != nil {
			return nil, err
		}
		k.fleet, err = readKey(dir, fleetFile, nkeys.PrefixByteAccount)
	}
	if err != nil {
		return nil, err
	}
	if k.account, err = k.readAccount(dir); err != nil {
		return nil, err
	}
	if k.operator, err = readKey(dir, operatorFile, nkeys.PrefixByteOperator); errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, err
	}
	k.system, err = readKey(dir, systemFile, nkeys.PrefixByteAccount)
	return k, err
}

// readAccount is the public key of the account: the fleet's key, unless a file names another.
func (k *Keys) readAccount(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, accountFile))
	if errors.Is(err, fs.ErrNotExist) {
		return k.Fleet(), nil
	}
	if err != nil {
		return "", err
	}
	name := string(bytes.TrimSpace(data))
	if !nkeys.IsValidPublicAccountKey(name) {
		return "", fmt.Errorf("%s: %.80q isn't the public key of an account", filepath.Join(dir, accountFile), name)
	}
	return name, nil
}

// createKeys makes a folder of keys. The fleet's comes last: it says that the others are there.
func createKeys(dir string, give func(*os.File) error) error {
	if give == nil {
		give = func(*os.File) error { return nil }
	}
	var folder fs.FileInfo // that has been made; nil: it was there
	made := func(f *os.File) (err error) {
		if folder, err = f.Stat(); err != nil {
			return err
		}
		return give(f)
	}
	if err := createFolder(filepath.Clean(dir), made); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // in which all are made, wherever its name leads later
	if err != nil {
		return err
	}
	defer root.Close()
	if is, err := root.Stat("."); err != nil || folder != nil && !os.SameFile(folder, is) {
		return errors.Join(err, fmt.Errorf("%s isn't the folder that was made any more", dir))
	}
	for _, one := range []struct {
		file   string
		prefix nkeys.PrefixByte
	}{{operatorFile, nkeys.PrefixByteOperator}, {systemFile, nkeys.PrefixByteAccount}, {fleetFile, nkeys.PrefixByteAccount}} {
		if err := createKey(root, one.file, one.prefix, give); err != nil {
			return err
		}
	}
	return nil
}

// createFolder makes a folder and those above it, as far as they aren't there.
func createFolder(dir string, give func(*os.File) error) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createFolder(filepath.Dir(dir), give); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return give(f)
}

func createKey(root *os.Root, name string, prefix nkeys.PrefixByte, give func(*os.File) error) error {
	key, err := nkeys.CreatePair(prefix)
	if err != nil {
		return err
	}
	defer key.Wipe()
	seed, err := key.Seed()
	if err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // of a start that was cut off
	}
	if err != nil {
		return err
	}
	_, err = f.Write(append(seed, '\n'))
	if err := errors.Join(err, give(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return nil
}

// readKey reads a key, which nobody else may read.
func readKey(dir, file string, prefix nkeys.PrefixByte) (nkeys.KeyPair, error) {
	path := filepath.Join(dir, file)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	allowed := fs.FileMode(0o600)
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == 0 && st.Gid == 0 {
		allowed = 0o640 // root's group reads what root does; systemd's credentials have a list of who reads them
	}
	if info.Mode().Perm()&0o077&^allowed != 0 {
		return nil, fmt.Errorf("%s (mode %04o) can be read by others; do chmod 600 %[1]s", path, info.Mode().Perm())
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	seed = bytes.TrimSpace(seed)
	if kind, _, err := nkeys.DecodeSeed(seed); err != nil || kind != prefix {
		return nil, fmt.Errorf("%s isn't the seed of a key for an %v; it has to begin with S%v", path, prefix, prefix.String()[:1])
	}
	key, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// Fleet is the public key that vouches for hosts and gates.
func (k *Keys) Fleet() string { return public(k.fleet) }

// Account is the public key of the fleet's account at the servers.
func (k *Keys) Account() string { return k.account }

// Embedded reports whether these are keys for a server of our own.
func (k *Keys) Embedded() bool { return k.operator != nil }

// public is a key's public part, which every key pair of ours has.
func public(key nkeys.KeyPair) string {
	p, err := key.PublicKey()
	if err != nil {
		panic(fmt.Sprintf("bus: a key pair without a public key: %v", err)) // a programmer's mistake
	}
	return p
}

// operatorClaims say that the servers are this operator's. They are always the same: a server that is told of others
// doesn't reload its configuration.
func (k *Keys) operatorClaims() (*jwt.OperatorClaims, string, error) {
	c := jwt.NewOperatorClaims(public(k.operator))
	c.Name = "shadow"
	c.SystemAccount = public(k.system)
	token, err := c.Encode(k.operator)
	if err != nil {
		return nil, "", err
	}
	token, err = undated(token, k.operator)
	return c, token, err
}

// undated is a JWT without the time at which it was made, and what follows from that.
func undated(token string, key nkeys.KeyPair) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("a JWT that isn't one")
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	claims := map[string]any{}
	if err := json.Unmarshal(data, &claims); err != nil {
		return "", err
	}
	claims["iat"] = 1
	delete(claims, "jti")
	if data, err = json.Marshal(claims); err != nil {
		return "", err
	}
	said := parts[0] + "." + base64.RawURLEncoding.EncodeToString(data)
	signature, err := key.Sign([]byte(said))
	if err != nil {
		return "", err
	}
	return said + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// forever is until when a key is revoked: each enrolment has a new one, and by which clock it began needn't be known.
var forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// accountClaims are the fleet's account, with the keys that were revoked before and now.
func (k *Keys) accountClaims(before jwt.RevocationList, revoked []Revocation) (*jwt.AccountClaims, string, error) {
	c := jwt.NewAccountClaims(k.account)
	c.Name = "SHADOW"
	c.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	for key := range before {
		c.RevokeAt(key, forever)
	}
	for _, r := range revoked {
		c.RevokeAt(r.Key, forever)
	}
	token, err := c.Encode(k.operator)
	return c, token, err
}

// systemClaims are the account for the server's own events.
func (k *Keys) systemClaims() (string, error) {
	c := jwt.NewAccountClaims(public(k.system))
	c.Name = "SYS"
	token, err := c.Encode(k.operator)
	if err != nil {
		return "", err
	}
	return undated(token, k.operator)
}
