package bus

import (
	"errors"
	"fmt"
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
	data, err := os.ReadFile(filepath.Join(dir, accountJWT))
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

// keep writes the account's JWT in one step. What root writes is whose the folder is: the gate's.
func keep(dir, token string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil { // the keys may be elsewhere
		return err
	}
	f, err := os.CreateTemp(dir, accountJWT+"-") // the gate and a command may write at the same time
	if err != nil {
		return err
	}
	_, err = f.WriteString(token)
	if info, e := os.Stat(dir); e == nil && os.Geteuid() == 0 {
		of := info.Sys().(*syscall.Stat_t)
		err = errors.Join(err, f.Chown(int(of.Uid), int(of.Gid)))
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, accountJWT))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
