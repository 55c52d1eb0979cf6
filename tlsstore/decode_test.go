package tlsstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// FuzzDecode: whatever is in the files, decode says what it is or refuses it
// in one line.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n-----BEGIN X"))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMAA=\n-----END RSA PRIVATE KEY-----\n"))
	f.Add([]byte("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"))
	f.Add([]byte("\x30\x80"))
	f.Add([]byte{})
	key, cert := fuzzPair(f)
	f.Add(cert.Raw)
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(f, err)
	f.Add(plain)
	sec1, err := x509.MarshalECPrivateKey(key)
	require.NoError(f, err)
	f.Add(sec1)
	for _, opts := range []*pkcs8.Opts{
		pkcs8.DefaultOpts,
		{Cipher: pkcs8.TripleDESCBC, KDFOpts: pkcs8.ScryptOpts{SaltSize: 8, CostParameter: 16, BlockSize: 8, ParallelizationParameter: 1}},
	} {
		der, err := pkcs8.MarshalPrivateKey(key, []byte("secret"), opts)
		require.NoError(f, err)
		f.Add(der)
		f.Add(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}))
	}
	for _, enc := range []*pkcs12.Encoder{pkcs12.LegacyRC2, pkcs12.LegacyDES, pkcs12.Modern2023, pkcs12.Modern2026} {
		der, err := enc.WithIterations(2).Encode(key, cert, nil, "secret")
		require.NoError(f, err)
		f.Add(der)
	}
	der, err := pkcs12.Passwordless.Encode(key, cert, nil, "")
	require.NoError(f, err)
	f.Add(der)

	dir, err := os.MkdirTemp("", "tlsstore")
	require.NoError(f, err)
	f.Cleanup(func() { assert.NoError(f, os.RemoveAll(dir)) })
	require.NoError(f, os.WriteFile(filepath.Join(dir, passphraseName), []byte("secret\n"), 0o600))
	where := &found{dir: dir, cert: filepath.Join(dir, "shadowingcert.pem"), key: filepath.Join(dir, "shadowingkey.pem")}

	f.Fuzz(func(t *testing.T, data []byte) {
		for _, path := range []string{where.cert, where.key} {
			for _, wantKey := range []bool{true, false} {
				c, err := where.decode(&file{path: path, what: "key", data: data}, wantKey)
				if err != nil {
					assert.Nil(t, c)
					assert.NotContains(t, err.Error(), "\n")
					continue
				}
				if wantKey {
					assert.Equal(t, c.keys > 0, c.key != nil)
				}
				for _, kind := range c.kinds {
					assert.NotEqual(t, "CERTIFICATE", kind)
				}
			}
		}
	})
}

func fuzzPair(f *testing.F) (*ecdsa.PrivateKey, *x509.Certificate) {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now()}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(f, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(f, err)
	return key, cert
}

// What would make the decoder panic, or take its time or memory, is refused
// before.
func TestCheckPBES2(t *testing.T) {
	der := func(v any) asn1.RawValue {
		b, err := asn1.Marshal(v)
		require.NoError(t, err)
		return asn1.RawValue{FullBytes: b}
	}
	id := func(oid asn1.ObjectIdentifier, params any) pkix.AlgorithmIdentifier {
		return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: der(params)}
	}
	type pbkdf2 struct {
		Salt       []byte
		Iterations int
	}
	type scrypt struct {
		Salt    []byte
		N, R, P int
	}
	aes, des := ciphers[3].id, ciphers[0].id
	salt := []byte("saltsalt")
	good := id(oidPBKDF2, pbkdf2{salt, 2048})
	for _, tc := range []struct {
		name   string
		kdf    pkix.AlgorithmIdentifier
		cipher pkix.AlgorithmIdentifier
		size   int
		want   string
	}{
		{"good", good, id(aes, make([]byte, 16)), 32, ""},
		{"3DES", good, id(des, make([]byte, 8)), 24, ""},
		{"most rounds", id(oidPBKDF2, pbkdf2{salt, maxRounds}), id(aes, make([]byte, 16)), 32, ""},
		{"too many rounds", id(oidPBKDF2, pbkdf2{salt, maxRounds + 1}), id(aes, make([]byte, 16)), 32, "it takes more than 2000000 rounds"},
		{"too many rounds for a number", id(oidPBKDF2, struct {
			Salt       []byte
			Iterations *big.Int
		}{salt, new(big.Int).Lsh(big.NewInt(1), 70)}), id(aes, make([]byte, 16)), 32, "it takes more than 2000000 rounds"},
		{"scrypt", id(oidScrypt, scrypt{salt, 16384, 8, 1}), id(aes, make([]byte, 16)), 32, ""},
		{"scrypt memory", id(oidScrypt, scrypt{salt, 1 << 18, 8, 1}), id(aes, make([]byte, 16)), 32, "scrypt would take too much memory or time"},
		{"scrypt time", id(oidScrypt, scrypt{salt, 16384, 8, 17}), id(aes, make([]byte, 16)), 32, "scrypt would take too much memory or time"},
		{"scrypt nothing", id(oidScrypt, scrypt{salt, 16, 0, 1}), id(aes, make([]byte, 16)), 32, "scrypt would take too much memory or time"},
		{"unknown derivation", id(oidPBES2, pbkdf2{salt, 1}), id(aes, make([]byte, 16)), 32, "key derivation 1.2.840.113549.1.5.13"},
		{"unknown cipher", good, id(oidPBES2, make([]byte, 16)), 32, "cipher 1.2.840.113549.1.5.13"},
		{"short vector", good, id(aes, make([]byte, 15)), 32, "it is damaged"},
		{"3DES with AES's vector", good, id(des, make([]byte, 16)), 32, "it is damaged"},
		{"half a block", good, id(aes, make([]byte, 16)), 24, "it is damaged"},
		{"no data", good, id(aes, make([]byte, 16)), 0, "it is damaged"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			info := der(struct {
				Algorithm pkix.AlgorithmIdentifier
				Data      []byte
			}{id(oidPBES2, struct{ KDF, Cipher pkix.AlgorithmIdentifier }{tc.kdf, tc.cipher}), make([]byte, tc.size)})
			err := checkPBES2(info.FullBytes)
			if tc.want == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, tc.want)
			}
		})
	}
}

// The rounds of PKCS #12 stand in three places, some of them inside of what
// looks like mere bytes.
func TestCostlyPKCS12(t *testing.T) {
	type digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	type mac struct {
		Mac        digest
		Salt       []byte
		Iterations int
	}
	type content struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	type pfx struct {
		Version  int
		AuthSafe content
		MacData  mac
	}
	marshal := func(v any) []byte {
		b, err := asn1.Marshal(v)
		require.NoError(t, err)
		return b
	}
	oid := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	p12 := func(inner, outer int) []byte {
		bag := marshal(struct {
			Salt       []byte
			Iterations int
		}{[]byte("salt"), inner})
		return marshal(pfx{3, content{oid, marshal([]content{{oid, bag}})}, mac{digest{pkix.AlgorithmIdentifier{Algorithm: oid}, []byte("digest")}, []byte("salt"), outer}})
	}
	assert.False(t, isCostly(p12(maxRounds, maxRounds)))
	assert.True(t, isCostly(p12(1, maxRounds+1)), "of the MAC")
	assert.True(t, isCostly(p12(maxRounds+1, 1)), "of a bag")
	assert.False(t, isCostly([]byte("\x30\x84")))
	// What is encrypted reads by chance like a salt with a count, about once in some hundred keys.
	for _, chance := range []string{"\x44\x00\x02\x04\x7f\xff\xff\xff", "\x04\x01s\x02\x04\x7f\xff\xff\xff", "\x30\x09\x04\x01s\x02\x04\x7f\xff\xff\xff+"} {
		assert.False(t, isCostly(marshal(struct{ Data []byte }{[]byte(chance)})), "%q", chance)
	}

	where := &found{dir: "/d", cert: "/d/shadowingcert.p12", key: "/d/shadowingcert.p12"}
	_, err := where.decode(&file{path: where.cert, data: p12(1, maxRounds+1)}, true)
	assert.EqualError(t, err, "tlsstore: /d/shadowingcert.p12 has its passphrase hashed more than 2000000 times; create it again, with openssl pkcs12 -export for example")
}

// One end of a line behind DER is forgiven, in whatever is in it.
func TestDERWithALineEnd(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(cert)
	require.NoError(t, err)
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	p12, err := pkcs12.Passwordless.Encode(key, leaf, nil, "")
	require.NoError(t, err)
	where := &found{dir: "/d", cert: "/d/shadowingcert.p12", key: "/d/shadowingcert.p12"}
	for _, end := range []string{"", "\n", "\r\n"} {
		for _, test := range []struct {
			der         []byte
			certs, keys int
		}{{cert, 1, 0}, {append(cert[:len(cert):len(cert)], cert...), 2, 0}, {pkcs, 0, 1}, {p12, 1, 1}} {
			c, err := where.decode(&file{path: where.cert, data: append(test.der[:len(test.der):len(test.der)], end...)}, true)
			require.NoError(t, err, "%d bytes and %q", len(test.der), end)
			assert.Len(t, c.certs, test.certs)
			assert.Equal(t, test.keys, c.keys)
		}
	}
	_, err = where.decode(&file{path: where.cert, data: append(cert[:len(cert):len(cert)], "\n\n"...)}, true)
	require.ErrorContains(t, err, "neither PEM nor")
}

// A good key isn't overwritten by taking a certificate apart, nor the reverse.
func TestTakeApart(t *testing.T) {
	const cert = "openssl pkcs12 -nokeys -in %s -out /d/shadowingcert.pem"
	const key = "openssl pkcs12 -nodes -nocerts -in %s -out /d/shadowingkey.pem && chmod 600 /d/shadowingkey.pem"
	for _, test := range []struct{ path, cert, key, want string }{
		{"/d/shadowingcert.p12", "/d/shadowingcert.p12", "/d/shadowingkey.pem", cert},
		{"/d/shadowingkey.p12", "/d/shadowingcert.pem", "/d/shadowingkey.p12", key},
		{"/d/shadowingcert.p12", "/d/shadowingcert.p12", "/d/shadowingcert.p12", key + " && " + cert},
	} {
		f := &found{dir: "/d", cert: test.cert, key: test.key}
		assert.Equal(t, strings.ReplaceAll(test.want, "%s", test.path), f.takeApart(&file{path: test.path}))
	}
}
