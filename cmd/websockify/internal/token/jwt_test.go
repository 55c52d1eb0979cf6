package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const claimsOK = `{"host":"h","port":5900}`

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, claims string) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	require.NoError(t, err)
	signed, err := s.Sign([]byte(claims))
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

func encrypt(t *testing.T, alg jose.KeyAlgorithm, key any, inner string) string {
	t.Helper()
	e, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: alg, Key: key}, nil)
	require.NoError(t, err)
	sealed, err := e.Encrypt([]byte(inner))
	require.NoError(t, err)
	token, err := sealed.CompactSerialize()
	require.NoError(t, err)
	return token
}

// keyFile writes a key in PEM and returns the source that uses it.
func keyFile(t *testing.T, kind string, der []byte, err error) Source {
	t.Helper()
	require.NoError(t, err)
	name := write(t, filepath.Join(t.TempDir(), "key"), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	return source(t, "JWTTokenApi", name)
}

func TestJWTSignedWithRSA(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	s := keyFile(t, "PUBLIC KEY", public, err)

	good := sign(t, jose.RS256, key, claimsOK)
	assert.Equal(t, "tcp h:5900", lookup(t, s, good))
	assert.Equal(t, "tcp h:1", lookup(t, s, sign(t, jose.PS512, key, `{"host":"h","port":"1"}`)))
	assert.Equal(t, "unknown", lookup(t, s, sign(t, jose.RS256, other, claimsOK)))
	assert.Equal(t, "unknown", lookup(t, s, sign(t, jose.HS256, publicPEM, claimsOK)), "a public key is no shared secret")
	assert.Equal(t, "unknown", lookup(t, s, "eyJhbGciOiJub25lIn0."+base64.RawURLEncoding.EncodeToString([]byte(claimsOK))+"."), "unsigned")
	assert.Equal(t, "unknown", lookup(t, s, good[:len(good)-4]))
	assert.Equal(t, "unknown", lookup(t, s, "x"))
	assert.Equal(t, "unknown", lookup(t, s, sign(t, jose.RS256, key, `{"host":"h"}`)))
	assert.Equal(t, "unknown", lookup(t, s, sign(t, jose.RS256, key, `[]`)))

	now := time.Now().Unix()
	for claims, want := range map[string]string{
		fmt.Sprintf(`{"host":"h","port":1,"nbf":%d,"exp":%d}`, now-5, now+100): "tcp h:1",
		fmt.Sprintf(`{"host":"h","port":1,"nbf":%d.5}`, now+100):               "unknown",
		fmt.Sprintf(`{"host":"h","port":1,"exp":%d}`, now-5):                   "unknown",
		`{"host":"h","port":1,"exp":"never"}`:                                  "unknown",
		fmt.Sprintf(`{"host":"h","port":1,"exp":%d,"nbf":null}`, now+100):      "tcp h:1",
		fmt.Sprintf(`{"host":"unix_socket","port":"/s","exp":%d.25}`, now+100): "unix /s",
	} {
		assert.Equal(t, want, lookup(t, s, sign(t, jose.RS256, key, claims)), claims)
	}

	sealed := encrypt(t, jose.RSA_OAEP_256, &key.PublicKey, good)
	assert.Equal(t, "unknown", lookup(t, s, sealed), "a public key opens nothing")
	private := keyFile(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), nil)
	assert.Equal(t, "tcp h:5900", lookup(t, private, sealed))
	assert.Equal(t, "tcp h:5900", lookup(t, private, good))
	assert.Equal(t, "unknown", lookup(t, private, encrypt(t, jose.RSA_OAEP, &key.PublicKey, claimsOK)), "anybody can encrypt: the inside has to be signed")
	assert.Equal(t, "unknown", lookup(t, private, encrypt(t, jose.RSA_OAEP, &key.PublicKey, sign(t, jose.RS256, other, claimsOK))))
}

func TestJWTWithOtherKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalECPrivateKey(ec)
	s := keyFile(t, "EC PRIVATE KEY", der, err)
	good := sign(t, jose.ES256, ec, claimsOK)
	assert.Equal(t, "tcp h:5900", lookup(t, s, good))
	assert.Equal(t, "tcp h:5900", lookup(t, s, encrypt(t, jose.ECDH_ES_A128KW, &ec.PublicKey, good)))

	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err = x509.MarshalPKIXPublicKey(public)
	s = keyFile(t, "PUBLIC KEY", der, err)
	assert.Equal(t, "tcp h:5900", lookup(t, s, sign(t, jose.EdDSA, private, claimsOK)))
	der, err = x509.MarshalPKCS8PrivateKey(private)
	assert.Equal(t, "tcp h:5900", lookup(t, keyFile(t, "PRIVATE KEY", der, err), sign(t, jose.EdDSA, private, claimsOK)))
}

func TestJWTWithASharedSecret(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789\xff\xfe\xfdxyz")
	for _, encoding := range []*base64.Encoding{base64.RawURLEncoding, base64.URLEncoding, base64.StdEncoding} {
		s := source(t, "JWTTokenApi", write(t, filepath.Join(t.TempDir(), "key"), encoding.EncodeToString(secret)+"\n"))
		good := sign(t, jose.HS256, secret, claimsOK)
		assert.Equal(t, "tcp h:5900", lookup(t, s, good))
		assert.Equal(t, "tcp h:5900", lookup(t, s, encrypt(t, jose.A256KW, secret, good)))
		assert.Equal(t, "tcp h:5900", lookup(t, s, encrypt(t, jose.DIRECT, secret, good)))
		assert.Equal(t, "unknown", lookup(t, s, sign(t, jose.HS256, append([]byte("x"), secret...), claimsOK)))
	}
}

func TestJWTKeyThatIsNone(t *testing.T) {
	for _, content := range []string{"", "not base64!", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN X-----\nAAAA\n-----END X-----\n"} {
		s := source(t, "JWTTokenApi", write(t, filepath.Join(t.TempDir(), "key"), content))
		assert.Contains(t, lookup(t, s, "a.b.c"), "key ", content)
	}
	assert.Contains(t, lookup(t, source(t, "JWTTokenApi", "/nonexistent"), "a.b.c"), "no such file")
}
