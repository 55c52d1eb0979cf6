package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A jwtKey is the file of a key: PEM, or a symmetric one as text, which is
// base64url as in a JWK. The token itself says the target, signed with the key
// (JWS), or signed and then encrypted with it (JWE).
type jwtKey string

// A key opens and verifies tokens. The algorithms are those of its kind, so
// that a public key can't be passed off as a shared secret.
type key struct {
	verify     any // nil: this key verifies nothing
	signatures []jose.SignatureAlgorithm

	decrypt any // nil: this key decrypts nothing
	wraps   []jose.KeyAlgorithm
}

var contents = []jose.ContentEncryption{jose.A128CBC_HS256, jose.A192CBC_HS384, jose.A256CBC_HS512, jose.A128GCM, jose.A192GCM, jose.A256GCM}

func (f jwtKey) load() (*key, error) {
	b, err := readFile(string(f), 1<<20)
	if err != nil {
		return nil, err
	}
	k, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", string(f), err)
	}
	return k, nil
}

// check finds a key that isn't there or can't be read.
func (f jwtKey) check() error {
	_, err := f.load()
	return err
}

// Lookup implements Source. A token that isn't valid, or not now, is unknown.
func (f jwtKey) Lookup(_ context.Context, token string) (Target, error) {
	k, err := f.load()
	if err != nil {
		return Target{}, err
	}
	claims, err := k.open(token)
	if err == nil {
		err = claims.valid(time.Now())
	}
	if err != nil {
		return Target{}, fmt.Errorf("%w: %v", ErrUnknown, err)
	}
	t, err := parseJSON(claims.raw)
	if err != nil {
		return Target{}, fmt.Errorf("%w: claims: %v", ErrUnknown, err)
	}
	return t, nil
}

func parseKey(b []byte) (*key, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		secret, err := decodeSecret(string(b))
		if err != nil {
			return nil, err
		}
		return &key{secret, []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512},
			secret, []jose.KeyAlgorithm{jose.DIRECT, jose.A128KW, jose.A192KW, jose.A256KW, jose.A128GCMKW, jose.A192GCMKW, jose.A256GCMKW}}, nil
	}
	parsed, err := parsePEM(block)
	if err != nil {
		return nil, err
	}
	rsaWraps := []jose.KeyAlgorithm{jose.RSA_OAEP, jose.RSA_OAEP_256}
	ecWraps := []jose.KeyAlgorithm{jose.ECDH_ES, jose.ECDH_ES_A128KW, jose.ECDH_ES_A192KW, jose.ECDH_ES_A256KW}
	switch k := parsed.(type) {
	case *rsa.PublicKey:
		return &key{verify: k, signatures: rsaSignatures}, nil
	case *rsa.PrivateKey:
		return &key{&k.PublicKey, rsaSignatures, k, rsaWraps}, nil
	case *ecdsa.PublicKey:
		return &key{verify: k, signatures: ecSignatures}, nil
	case *ecdsa.PrivateKey:
		return &key{&k.PublicKey, ecSignatures, k, ecWraps}, nil
	case ed25519.PublicKey:
		return &key{verify: k, signatures: []jose.SignatureAlgorithm{jose.EdDSA}}, nil
	case ed25519.PrivateKey:
		return &key{verify: k.Public(), signatures: []jose.SignatureAlgorithm{jose.EdDSA}}, nil
	}
	return nil, fmt.Errorf("%T isn't supported", parsed)
}

var (
	rsaSignatures = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
	ecSignatures  = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512}
)

func parsePEM(block *pem.Block) (any, error) {
	switch block.Type {
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	}
	return nil, fmt.Errorf("PEM type %q isn't supported", block.Type)
}

// decodeSecret reads base64url, with or without padding; of the other
// alphabet too, which the Python library takes for the same.
func decodeSecret(s string) ([]byte, error) {
	s = strings.TrimRight(strings.TrimSpace(s), "=")
	s = strings.NewReplacer("+", "-", "/", "_").Replace(s)
	secret, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(secret) == 0 {
		return nil, errors.New("it is neither PEM nor a symmetric key in base64url")
	}
	return secret, nil
}

// open returns the claims of a token that this key has signed.
func (k *key) open(token string) (*claims, error) {
	if strings.Count(token, ".") == 4 {
		if k.decrypt == nil {
			return nil, errors.New("an encrypted token, and the key is a public one")
		}
		e, err := jose.ParseEncryptedCompact(token, k.wraps, contents)
		if err != nil {
			return nil, err
		}
		inner, err := e.Decrypt(k.decrypt)
		if err != nil {
			return nil, err
		}
		token = string(inner)
	}
	s, err := jose.ParseSignedCompact(token, k.signatures)
	if err != nil {
		return nil, err
	}
	raw, err := s.Verify(k.verify)
	if err != nil {
		return nil, err
	}
	c := &claims{raw: raw}
	return c, json.Unmarshal(raw, c)
}

// claims are those that say when a token may be used (RFC 7519 §4.1).
type claims struct {
	raw       []byte
	NotBefore *float64 `json:"nbf"`
	Expires   *float64 `json:"exp"`
}

func (c *claims) valid(now time.Time) error {
	seconds := float64(now.UnixNano()) / float64(time.Second)
	if c.NotBefore != nil && seconds < *c.NotBefore {
		return errors.New("the token can't be used yet")
	}
	if c.Expires != nil && seconds > *c.Expires {
		return errors.New("the token has expired")
	}
	return nil
}
