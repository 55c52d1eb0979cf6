package bus

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/nats-io/jwt/v2"
)

// ServerConfig is what servers of one's own need to know in nats-server's configuration: the operator, the
// accounts, and which keys are revoked as of the last call of [Keys.KeepRevoked]. dir is the folder of the
// keys.
func (k *Keys) ServerConfig(dir string) (string, error) {
	if !k.Embedded() {
		return "", errors.New("the operator of these servers is somebody else, who has their configuration")
	}
	_, operator, err := k.operatorClaims()
	if err != nil {
		return "", err
	}
	system, err := k.systemClaims()
	if err != nil {
		return "", err
	}
	account, err := k.accountToken(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n", operator, public(k.system))
	fmt.Fprintf(&b, "  %s: %s\n  %s: %s\n}\n", public(k.system), system, k.account, account)
	return b.String(), nil
}

// accountToken is the account's JWT as it was kept last.
func (k *Keys) accountToken(dir string) (string, error) {
	if token, _, err := k.kept(dir); err != nil || token != "" {
		return token, err
	}
	_, token, err := k.accountClaims(nil, nil)
	if err != nil {
		return "", err
	}
	return token, nil
}

// kept is the account's JWT as it was kept last, and which keys it revokes: that they stay revoked isn't left to
// what the bus has. Empty: there is none.
func (k *Keys) kept(dir string) (string, jwt.RevocationList, error) {
	data, err := readKept(filepath.Join(dir, accountJWT))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	c, err := jwt.DecodeAccountClaims(string(data))
	if err != nil || c.Subject != k.account || c.Issuer != public(k.operator) { // another account's
		return "", nil, nil
	}
	return string(data), c.Revocations, nil
}

// readKept reads a plain file. What is none, such as a pipe that nobody writes to, isn't waited for.
func readKept(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no plain file", path)
	}
	return io.ReadAll(f)
}

// KeepRevoked writes the account with the keys that are revoked, besides those that were, into the folder of
// the keys, for the next start and for [Keys.ServerConfig].
func (k *Keys) KeepRevoked(dir string, list []Revocation) error {
	if !k.Embedded() {
		return nil
	}
	_, before, err := k.kept(dir)
	if err != nil {
		return err
	}
	_, token, err := k.accountClaims(before, list)
	if err != nil {
		return err
	}
	return keep(dir, token)
}

// keep writes the account's JWT in one step. What root writes is whose the folder is: the gate's. All of it is done in the folder that was
// there at the beginning, wherever its name leads later: who has it may change that.
func keep(dir, token string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil { // the keys may be elsewhere
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	name := accountJWT + "-" + rand.Text() // the gate and a command may write at the same time
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(token)
	if os.Geteuid() == 0 {
		err = errors.Join(err, giveLike(f, root))
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = root.Rename(name, accountJWT)
	}
	if err != nil {
		_ = root.Remove(name)
	}
	return err
}

// giveLike gives a file to whom a folder belongs.
func giveLike(f *os.File, folder *os.Root) error {
	info, err := folder.Stat(".")
	if err != nil {
		return err
	}
	of := info.Sys().(*syscall.Stat_t)
	return f.Chown(int(of.Uid), int(of.Gid))
}
