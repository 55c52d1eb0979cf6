package tickets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// A Key is what Guacamole's json-secret-key says: 128 bits, which sign and encrypt.
type Key [16]byte

// ParseKey reads 32 hexadecimal digits.
func ParseKey(s string) (*Key, error) {
	b, err := hex.DecodeString(strings.TrimSpace(s))
	if err != nil || len(b) != len(Key{}) {
		return nil, errors.New("the key of Guacamole must be 32 hexadecimal digits, as in json-secret-key")
	}
	return (*Key)(b), nil
}

// connection is the data with which somebody gets one read-only VNC connection from Guacamole.
func (k *Key) connection(name, what, host string, port int, password string, until time.Time) (string, error) {
	type connection struct {
		Protocol   string            `json:"protocol"`
		Parameters map[string]string `json:"parameters"`
	}
	plain, err := json.Marshal(struct {
		Username    string                `json:"username"`
		Expires     string                `json:"expires"` // Unix time in milliseconds
		Connections map[string]connection `json:"connections"`
	}{name, strconv.FormatInt(until.UnixMilli(), 10), map[string]connection{what: {"vnc", map[string]string{
		"hostname": host, "port": strconv.Itoa(port), "password": password,
		"read-only": "true", "disable-copy": "true", "disable-paste": "true",
	}}}})
	if err != nil {
		return "", err
	}
	return k.Encrypt(plain)
}

// Encrypt signs and encrypts JSON as Guacamole's extension "Encrypted JSON" takes it: HMAC-SHA256 of
// the JSON, then the JSON, padded by PKCS #7, encrypted by AES-128 in CBC mode, in base64. The
// initialisation vector is zero, which the format asks for; the MAC, which comes first, makes up for it.
func (k *Key) Encrypt(plain []byte) (string, error) {
	mac := hmac.New(sha256.New, k[:])
	mac.Write(plain)
	b := mac.Sum(nil)
	b = append(b, plain...)
	n := aes.BlockSize - len(b)%aes.BlockSize
	for range n {
		b = append(b, byte(n))
	}
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return "", err
	}
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(b, b)
	return base64.StdEncoding.EncodeToString(b), nil
}
