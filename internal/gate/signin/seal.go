package signin

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"
)

// maxKeys bounds the keys of a file: each is tried.
const maxKeys = 16

// ErrForged is that nobody sealed that, or with a key that isn't known any more, or for another
// purpose.
var ErrForged = errors.New("not sealed by this gate")

// A Sealer encrypts and authenticates what a browser keeps for the gate, with XChaCha20-Poly1305. It
// has several keys: the first seals, all open. Gates that share them take each other's cookies.
type Sealer struct {
	path string
	keys atomic.Pointer[[]cipher.AEAD]
}

// OpenSealer reads the file of keys: 32 bytes in base64 a line, the newest first. If it isn't there
// it is made, with a new key, unless make is false.
func OpenSealer(path string, mayMake bool) (*Sealer, error) {
	s := &Sealer{path: path}
	err := s.Reload()
	if errors.Is(err, fs.ErrNotExist) && mayMake {
		if err = makeKeys(path); err == nil {
			err = s.Reload()
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// NewSealer is a Sealer with a key that is forgotten when the program ends: for tests.
func NewSealer() *Sealer {
	s := &Sealer{}
	aead, err := chacha20poly1305.NewX([]byte(newKey()))
	if err != nil {
		panic(err) // the key has the right size
	}
	s.keys.Store(&[]cipher.AEAD{aead})
	return s
}

// Reload reads the file of keys again. Without success the keys from before stay in use.
func (s *Sealer) Reload() error {
	if s.path == "" {
		return nil
	}
	data, err := readSecret(s.path)
	if err != nil {
		return fmt.Errorf("the cookies' keys: %w", err)
	}
	var keys []cipher.AEAD
	err = eachLine(data, func(line string) error {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		if err != nil || len(key) != chacha20poly1305.KeySize {
			return fmt.Errorf("it isn't %d bytes in base64", chacha20poly1305.KeySize)
		}
		aead, err := chacha20poly1305.NewX(key)
		keys = append(keys, aead)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("the cookies' keys: %s: %w", s.path, err)
	case len(keys) == 0 || len(keys) > maxKeys:
		return fmt.Errorf("the cookies' keys: %s has %d keys; 1 to %d are allowed", s.path, len(keys), maxKeys)
	}
	s.keys.Store(&keys)
	return nil
}

func newKey() string {
	key := make([]byte, chacha20poly1305.KeySize)
	_, _ = rand.Read(key)
	return string(key)
}

// makeKeys makes the file, and its folder. Of several gates that do so at once one succeeds.
func makeKeys(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("the cookies' keys: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the cookies' keys: %w", err)
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "# What shadowgate seals cookies with: a key a line, the first seals, all open. To change keys, put a new one first\n"+
		"# (head -c32 /dev/urandom | base64), send SIGHUP, and remove the old one when session.longest has passed.\n%s\n",
		base64.StdEncoding.EncodeToString([]byte(newKey())))
	return err
}

// Seal makes text for a cookie. What was sealed for one purpose can't be opened for another.
func (s *Sealer) Seal(purpose string, plain []byte) string {
	aead := (*s.keys.Load())[0]
	out := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	_, _ = rand.Read(out)
	return base64.RawURLEncoding.EncodeToString(aead.Seal(out, out, plain, []byte(purpose)))
}

// Open is what was sealed, or [ErrForged].
func (s *Sealer) Open(purpose, sealed string) ([]byte, error) {
	data, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return nil, ErrForged
	}
	for _, aead := range *s.keys.Load() {
		if len(data) < aead.NonceSize() {
			break
		}
		if plain, err := aead.Open(nil, data[:aead.NonceSize()], data[aead.NonceSize():], []byte(purpose)); err == nil {
			return plain, nil
		}
	}
	return nil, ErrForged
}
