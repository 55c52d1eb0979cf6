package tlsstore

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// decrypt opens an EncryptedPrivateKeyInfo (RFC 5958 section 3). in is how
// openssl is told to read the file.
func (f *found) decrypt(file *file, der []byte, in string) (crypto.Signer, error) {
	if err := checkPBES2(der); err != nil {
		return nil, refuse(BadFormat, err, fmt.Sprintf("the private key in %s can't be decrypted here: %v", file.path, err),
			"encrypt it again with: "+f.convert(file, keyPrefix, "openssl pkey -aes256 "+in+" %s -out %s"))
	}
	from, passphrase, err := f.passphrase()
	switch {
	case err != nil:
		return nil, err
	case from == "":
		return nil, f.needsPassphrase(file, "the private key",
			"decrypt it with: "+f.convert(file, keyPrefix, "openssl pkey "+in+" %s -out %s"))
	}
	key, err := pkcs8.ParsePKCS8PrivateKey(der, passphrase)
	if err != nil {
		return nil, badPassphrase(file, "the private key", from, err)
	}
	signer, err := asSigner(key)
	if err != nil {
		return nil, badKey(file, err)
	}
	return signer, nil
}

// decryptOld opens a key that is encrypted in PEM's own way (RFC 1421, with the
// ciphers of OpenSSL before 1.0), which has no check of the passphrase.
func (f *found) decryptOld(file *file, block *pem.Block) (crypto.Signer, error) {
	from, passphrase, _ := f.passphrase()
	if from == "" {
		return nil, f.needsPassphrase(file, "the private key",
			"decrypt it with: "+f.convert(file, keyPrefix, "openssl pkey -in %s -out %s"))
	}
	//lint:ignore SA1019 Keys are stored so, and what protects them there isn't decided here.
	der, err := x509.DecryptPEMBlock(block, passphrase)
	if err != nil {
		return nil, badPassphrase(file, "the private key", from, err)
	}
	key, err := parseKey(der)
	if err != nil {
		return nil, badPassphrase(file, "the private key", from, err)
	}
	return key, nil
}

// decodePKCS12 opens a PFX (RFC 7292). Many are made without a passphrase,
// which to this format is an empty one.
func (f *found) decodePKCS12(c *contents, file *file, der []byte) error {
	if isCostly(der) {
		return refuse(BadFormat, nil, fmt.Sprintf("%s has its passphrase hashed more than %d times", file.path, maxRounds),
			"create it again, with openssl pkcs12 -export for example")
	}
	key, leaf, issuers, err := pkcs12.DecodeChain(der, "")
	if errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) {
		from, passphrase, perr := f.passphrase()
		switch {
		case perr != nil:
			return perr
		case from == "":
			return f.needsPassphrase(file, "the PKCS #12", "take it apart with: "+f.takeApart(file))
		}
		key, leaf, issuers, err = pkcs12.DecodeChain(der, string(passphrase))
		if errors.Is(err, pkcs12.ErrIncorrectPassword) {
			return badPassphrase(file, "the PKCS #12", from, err)
		}
	}
	if err != nil {
		return refuse(BadFormat, err, fmt.Sprintf("the PKCS #12 in %s can't be used: %s", file.path, strings.TrimPrefix(err.Error(), "pkcs12: ")), "take it apart with: "+f.takeApart(file))
	}
	signer, err := asSigner(key)
	if err != nil {
		return badKey(file, err)
	}
	c.certs = append([]*x509.Certificate{leaf}, issuers...)
	c.keys, c.key = 1, signer
	return nil
}

// What the decoder of PKCS #8 knows (RFC 8018 and RFC 7914). It doesn't look
// at sizes before it decrypts.
var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}

	ciphers = []struct {
		id    asn1.ObjectIdentifier
		block int // bytes
	}{
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 8},          // DES-EDE3-CBC
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16},  // AES-128-CBC
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 16}, // AES-192-CBC
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 16}, // AES-256-CBC
	}
	hashes = []asn1.ObjectIdentifier{
		{1, 2, 840, 113549, 2, 7}, // HMAC-SHA-1
		{1, 2, 840, 113549, 2, 9}, // HMAC-SHA-256
	}
)

// checkPBES2 reports what in an EncryptedPrivateKeyInfo can't be decrypted,
// or would cost too much.
func checkPBES2(der []byte) error {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	var params struct{ KDF, Cipher pkix.AlgorithmIdentifier }
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return err
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return fmt.Errorf("the scheme %v is older than PBES2", info.Algorithm.Algorithm)
	}
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &params); err != nil {
		return err
	}
	if isCostly(info.Algorithm.Parameters.FullBytes) {
		return fmt.Errorf("it takes more than %d rounds", maxRounds)
	}
	if err := checkKDF(params.KDF); err != nil {
		return err
	}
	for _, c := range ciphers {
		if !params.Cipher.Algorithm.Equal(c.id) {
			continue
		}
		var iv []byte
		if _, err := asn1.Unmarshal(params.Cipher.Parameters.FullBytes, &iv); err != nil {
			return err
		}
		if len(iv) != c.block || len(info.Data) == 0 || len(info.Data)%c.block != 0 {
			return errors.New("it is damaged")
		}
		return nil
	}
	return fmt.Errorf("cipher %v", params.Cipher.Algorithm)
}

func checkKDF(kdf pkix.AlgorithmIdentifier) error {
	switch {
	case kdf.Algorithm.Equal(oidScrypt):
		var p struct {
			Salt    []byte
			N, R, P int
		}
		if _, err := asn1.Unmarshal(kdf.Parameters.FullBytes, &p); err != nil {
			return err
		}
		const most = 1 << 18 // of blocks of 128 bytes: 32 MiB, twice what openssl takes
		if p.N <= 0 || p.R <= 0 || p.P <= 0 || p.N > most || p.R > most/p.N || p.P > 16 {
			return errors.New("scrypt would take too much memory or time")
		}
		return nil
	case kdf.Algorithm.Equal(oidPBKDF2):
		var p struct {
			Salt       []byte
			Iterations int
			PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
		}
		if _, err := asn1.Unmarshal(kdf.Parameters.FullBytes, &p); err != nil {
			return err
		}
		if len(p.PRF.Algorithm) > 0 && !slices.ContainsFunc(hashes, p.PRF.Algorithm.Equal) {
			return fmt.Errorf("hash %v", p.PRF.Algorithm)
		}
		return nil
	}
	return fmt.Errorf("key derivation %v", kdf.Algorithm)
}

// maxRounds bounds how often a passphrase is hashed, which then takes seconds. A
// million is already much.
const maxRounds = 2_000_000

// isCostly reports whether der asks for more rounds than maxRounds, at any
// depth that isn't encrypted. In all structures that have such a count it is
// the INTEGER behind the salt, which is an OCTET STRING: PBES1 and PBKDF2 (RFC
// 8018 appendix A), MacData (RFC 7292 section 4), scrypt (RFC 7914 section 7).
// An OCTET STRING is looked into if a SEQUENCE fills it, as in a PFX: what is
// encrypted, or a salt, has bytes that read like anything.
func isCostly(der []byte) bool { return costly(der, 32) }

func costly(der []byte, depth int) bool {
	salted := false
	for len(der) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return false // so the decoder doesn't come here either
		}
		universal := v.Class == asn1.ClassUniversal
		if salted && universal && v.Tag == asn1.TagInteger && new(big.Int).SetBytes(v.Bytes).Cmp(big.NewInt(maxRounds)) > 0 {
			return true
		}
		salted = universal && v.Tag == asn1.TagOctetString
		if (v.IsCompound || salted && isSequence(v.Bytes)) && depth > 0 && costly(v.Bytes, depth-1) {
			return true
		}
		der = rest
	}
	return false
}

// isSequence reports whether b is one SEQUENCE and nothing else.
func isSequence(b []byte) bool {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(b, &v)
	return err == nil && len(rest) == 0 && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSequence
}
