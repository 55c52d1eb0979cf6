package signin

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What new passwords are hashed with: argon2id as OWASP's Password Storage Cheat Sheet has it
// (19 MiB, two passes, one lane), which takes some 20 ms.
const (
	argonMemory = 19 << 10 // KiB
	argonPasses = 2
	argonLanes  = 1
	saltSize    = 16
	hashSize    = 32
)

// Bounds of what a file may ask for.
const (
	maxArgonMemory = 256 << 10 // KiB
	maxArgonPasses = 16
	maxArgonLanes  = 16
)

// Limits of a password. There is no rule about its letters: length is what counts.
const (
	MinPassword = 8    // characters
	MaxPassword = 1024 // bytes
)

var encoding = base64.RawStdEncoding

// A hashed is a password's hash, as argon2's own format has it:
// $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH.
type hashed struct {
	memory, passes uint32
	lanes          uint8
	salt, sum      []byte
}

// hashPassword hashes a new password.
func hashPassword(password string) hashed {
	h := hashed{memory: argonMemory, passes: argonPasses, lanes: argonLanes, salt: make([]byte, saltSize)}
	_, _ = rand.Read(h.salt) // it never fails
	h.sum = h.of(password, hashSize)
	return h
}

func (h hashed) of(password string, size uint32) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, size)
}

// matches reports whether it is the password's.
func (h hashed) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.of(password, uint32(len(h.sum))), h.sum) == 1
}

func (h hashed) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes,
		encoding.EncodeToString(h.salt), encoding.EncodeToString(h.sum))
}

// parseHashed reads a hash.
func parseHashed(s string) (hashed, error) {
	var h hashed
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, fmt.Errorf("the password's hash isn't argon2id; set the password again with shadowgate passwd")
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.lanes); n != 3 || err != nil {
		return h, fmt.Errorf("the hash's parameters %q can't be read", parts[3])
	}
	if h.memory < 8 || h.memory > maxArgonMemory || h.passes < 1 || h.passes > maxArgonPasses || h.lanes < 1 || h.lanes > maxArgonLanes {
		return h, fmt.Errorf("the hash's parameters %q are out of bounds", parts[3])
	}
	var err error
	if h.salt, err = encoding.DecodeString(parts[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return h, fmt.Errorf("the hash's salt can't be read")
	}
	if h.sum, err = encoding.DecodeString(parts[5]); err != nil || len(h.sum) < 16 || len(h.sum) > 64 {
		return h, fmt.Errorf("the hash can't be read")
	}
	return h, nil
}
