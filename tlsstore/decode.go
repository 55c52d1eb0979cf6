package tlsstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// A contents is what was read from one file.
type contents struct {
	certs []*x509.Certificate // in the file's order
	keys  int                 // how many private keys there were
	key   crypto.Signer       // the last of them; nil if none was wanted
	kinds []string            // other PEM blocks, by their type
}

// others names what was of no use, for a message.
func (c *contents) others() string {
	names := c.kinds
	if len(c.certs) > 0 {
		names = append([]string{"CERTIFICATE"}, names...)
	}
	if c.keys > 0 {
		names = append([]string{"PRIVATE KEY"}, names...)
	}
	if len(names) == 0 {
		return ""
	}
	return ", only " + strings.Join(names, ", ")
}

// decode takes a file apart, whatever its name promises. A key that isn't
// wanted is counted but not decrypted.
func (f *found) decode(file *file, wantKey bool) (*contents, error) {
	c := &contents{}
	var err error
	if bytes.Contains(file.data, begin) {
		err = f.decodePEM(c, file, wantKey)
	} else {
		err = f.decodeDER(c, file, wantKey)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// begin is how a PEM block starts.
var begin = []byte("-----BEGIN ")

func (f *found) decodePEM(c *contents, file *file, wantKey bool) error {
	rest := bytes.TrimPrefix(file.data, []byte("\ufeff")) // an editor's mark would hide the first block
	blocks := 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		blocks++
		if err := f.add(c, file, block, wantKey); err != nil {
			return err
		}
	}
	// pem.Decode skips what it can't read, which could be a certificate that
	// browsers need.
	if n := bytes.Count(file.data, begin); n != blocks {
		return refuse(BadFormat, nil, fmt.Sprintf("%s is damaged: %d of its %d PEM blocks can't be read", file.path, n-blocks, n),
			"copy it there again")
	}
	return nil
}

// add decodes one PEM block (RFC 7468) into c.
func (f *found) add(c *contents, file *file, block *pem.Block, wantKey bool) error {
	switch kind := block.Type; {
	case kind == "CERTIFICATE" || kind == "X509 CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return refuse(BadFormat, err, fmt.Sprintf("certificate number %d in %s can't be used: %v", len(c.certs)+1, file.path, err),
				"copy it there again, or have one issued for an RSA or ECDSA key")
		}
		c.certs = append(c.certs, cert)
	case kind == "OPENSSH PRIVATE KEY":
		return refuse(BadFormat, nil, file.path+" holds a key in OpenSSH's own format",
			"convert it with: ssh-keygen -p -m PKCS8 -N '' -f "+quote(file.path))
	case strings.HasSuffix(kind, "PRIVATE KEY"):
		c.keys++
		if wantKey {
			return f.addKey(c, file, block)
		}
	case kind == "TRUSTED CERTIFICATE":
		return refuse(BadFormat, nil, file.path+" holds a certificate in OpenSSL's own TRUSTED format",
			"convert it with: "+f.convert(file, certPrefix, "openssl x509 -in %s -out %s"))
	case kind == "PKCS7":
		return refuse(BadFormat, nil, file.path+" is PKCS #7",
			"convert it with: "+f.convert(file, certPrefix, "openssl pkcs7 -print_certs -in %s -out %s"))
	case strings.HasSuffix(kind, "CERTIFICATE REQUEST"):
		return refuse(BadFormat, nil, file.path+" holds a request for a certificate, not a certificate",
			"put the certificate there that the authority issued for it")
	default:
		c.kinds = append(c.kinds, kind)
	}
	return nil
}

// addKey decodes a private key in PEM.
func (f *found) addKey(c *contents, file *file, block *pem.Block) error {
	var err error
	switch {
	case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") && f.named:
		c.key, err = f.decryptOld(file, block)
		return err
	case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return refuse(BadFormat, nil, "the private key in "+file.path+" is encrypted in PEM's own old and weak way",
			"convert it with: "+f.convert(file, keyPrefix, "openssl pkcs8 -topk8 -v2 aes256 -in %s -out %s"))
	case block.Type == "ENCRYPTED PRIVATE KEY":
		c.key, err = f.decrypt(file, block.Bytes, "-in")
		return err
	}
	if c.key, err = parseKey(block.Bytes); err != nil {
		return badKey(file, err)
	}
	return nil
}

func badKey(file *file, err error) error {
	return refuse(BadFormat, err, fmt.Sprintf("the private key in %s can't be used: %v", file.path, err),
		"put the certificate's key there, RSA or ECDSA")
}

// decodeDER takes a file apart that isn't PEM.
func (f *found) decodeDER(c *contents, file *file, wantKey bool) error {
	if len(bytes.TrimSpace(file.data)) == 0 {
		return refuse(BadFormat, nil, file.path+" is empty", "put the "+file.what+" there")
	}
	data := withoutLineEnd(file.data)
	switch formatOf(data) {
	case derCertificates:
		c.certs, _ = x509.ParseCertificates(data)
		return nil
	case derKey:
		c.keys = 1
		c.key, _ = parseKey(data)
		return nil
	case derEncryptedKey:
		c.keys = 1
		if !wantKey {
			return nil
		}
		var err error
		c.key, err = f.decrypt(file, data, "-inform DER -in")
		return err
	case derPKCS12:
		return f.decodePKCS12(c, file, data)
	case derPKCS7:
		return refuse(BadFormat, nil, file.path+" is PKCS #7",
			"convert it with: "+f.convert(file, certPrefix, "openssl pkcs7 -inform DER -print_certs -in %s -out %s"))
	case berIndefinite:
		return refuse(BadFormat, nil, file.path+" is in BER with indefinite lengths, as some programs write PKCS #12",
			"take it apart with: "+f.takeApart(file))
	}
	return refuse(BadFormat, nil, file.path+" is neither PEM nor anything else that is known here", "put the "+file.what+" there, in PEM")
}

// withoutLineEnd takes away one end of a line behind DER, which some programs
// write there.
func withoutLineEnd(der []byte) []byte {
	rest := der
	for {
		var v asn1.RawValue
		next, err := asn1.Unmarshal(rest, &v)
		if err != nil {
			break
		}
		rest = next
	}
	if end := string(rest); end == "\n" || end == "\r\n" {
		return der[:len(der)-len(rest)]
	}
	return der
}

// oidPSS is id-RSASSA-PSS (RFC 8017 appendix A.2.3).
var oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

// parsePSS reads a key of PKCS #8 that is marked as one for RSA-PSS alone
// (RFC 8017 appendix A.1 has no other encoding for it), which crypto/x509
// doesn't know.
func parsePSS(der []byte) (crypto.Signer, bool) {
	var info struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil || !info.Algorithm.Algorithm.Equal(oidPSS) {
		return nil, false
	}
	key, err := x509.ParsePKCS1PrivateKey(info.Key)
	return key, err == nil
}

// isPSSOnly reports whether c's key is marked so.
func isPSSOnly(c *x509.Certificate) bool {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	_, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info)
	return err == nil && info.Algorithm.Algorithm.Equal(oidPSS)
}

// parseKey reads a private key in any of the three unencrypted encodings.
func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if k, ok := parsePSS(der); ok {
			return k, nil
		}
		if k, err1 := x509.ParsePKCS1PrivateKey(der); err1 == nil {
			return k, nil
		}
		if k, err1 := x509.ParseECPrivateKey(der); err1 == nil {
			return k, nil
		}
		return nil, err
	}
	return asSigner(key)
}

// asSigner is key, if TLS can use its kind.
func asSigner(key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k, nil
	case *ecdsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, errors.New("it can't sign")
}

// takeApart is the commands that make the preferred files of PKCS #12: those
// that it is used for, so that a good one isn't overwritten.
func (f *found) takeApart(file *file) string {
	key := f.convert(file, keyPrefix, "openssl pkcs12 -nodes -nocerts -in %s -out %s")
	cert := f.convert(file, certPrefix, "openssl pkcs12 -nokeys -in %s -out %s")
	switch {
	case file.path != f.key:
		return cert
	case file.path != f.cert:
		return key
	}
	return key + " && " + cert
}

// convert completes an openssl command that turns file into the one that is
// preferred above all others. Where that is the same file the result replaces
// it afterwards.
func (f *found) convert(file *file, prefix, command string) string {
	to := f.pem(prefix)
	in, out := quote(file.path), quote(to)
	tmp := out
	if to == file.path {
		tmp = quote(to + ".tmp")
	}
	s := fmt.Sprintf(command, in, tmp)
	if prefix == keyPrefix {
		s += " && chmod 600 " + tmp
	}
	if tmp != out {
		s += " && mv " + tmp + " " + out
	}
	return s
}

// A format is what a file that isn't PEM holds.
type format uint8

const (
	unknownFormat format = iota
	derCertificates
	derKey
	derEncryptedKey
	derPKCS12
	derPKCS7
	berIndefinite
)

// formatOf tells a format by the content.
func formatOf(data []byte) format {
	if certs, err := x509.ParseCertificates(data); err == nil && len(certs) > 0 {
		return derCertificates
	}
	if _, err := parseKey(data); err == nil {
		return derKey
	}
	switch {
	case isPKCS12(data):
		return derPKCS12
	case isPKCS7(data):
		return derPKCS7
	case isEncryptedKey(data):
		return derEncryptedKey
	case bytes.HasPrefix(data, []byte{0x30, 0x80}): // X.690 section 8.1.3.6
		return berIndefinite
	}
	return unknownFormat
}

// isPKCS12 recognises a PFX (RFC 7292 section 4).
func isPKCS12(der []byte) bool {
	var pfx struct {
		Version  int
		AuthSafe struct {
			Type    asn1.ObjectIdentifier
			Content asn1.RawValue `asn1:"optional"`
		}
	}
	_, err := asn1.Unmarshal(der, &pfx)
	return err == nil && pfx.Version == 3
}

// isPKCS7 recognises a ContentInfo (RFC 2315 section 7) of signed data, which is what chains come in.
func isPKCS7(der []byte) bool {
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(der, &info)
	return err == nil && info.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2})
}

// isEncryptedKey recognises an EncryptedPrivateKeyInfo (RFC 5958 section 3).
func isEncryptedKey(der []byte) bool {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	_, err := asn1.Unmarshal(der, &info)
	return err == nil && len(info.Data) > 0
}
