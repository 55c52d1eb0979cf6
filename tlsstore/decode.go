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
	key   crypto.Signer       // the last of them
	kinds []string            // other PEM blocks, by their type
}

// others names the blocks that were of no use, for a message.
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

// decode takes a file apart.
func (f *found) decode(file *file) (*contents, error) {
	begin := []byte("-----BEGIN ")
	if !bytes.Contains(file.data, begin) {
		return nil, f.refuseBinary(file)
	}
	c := &contents{}
	rest := bytes.TrimPrefix(file.data, []byte("\ufeff")) // an editor's mark would hide the first block
	blocks := 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		blocks++
		if err := f.add(c, file, block); err != nil {
			return nil, err
		}
	}
	// pem.Decode skips what it can't read, which could be a certificate that
	// browsers need.
	if n := bytes.Count(file.data, begin); n != blocks {
		return nil, refuse(BadFormat, nil, fmt.Sprintf("%s is damaged: %d of its %d PEM blocks can't be read", file.path, n-blocks, n),
			"copy it there again")
	}
	return c, nil
}

// add decodes one PEM block (RFC 7468) into c.
func (f *found) add(c *contents, file *file, block *pem.Block) error {
	switch kind := block.Type; {
	case kind == "CERTIFICATE" || kind == "X509 CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return refuse(BadFormat, err, fmt.Sprintf("certificate number %d in %s is damaged: %v", len(c.certs)+1, file.path, err), "copy it there again")
		}
		c.certs = append(c.certs, cert)
	case kind == "ENCRYPTED PRIVATE KEY" || strings.HasSuffix(kind, "PRIVATE KEY") && strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return refuse(Encrypted, nil, "the private key in "+file.path+" is encrypted",
			"decrypt it with: "+f.convert(file, keyPrefix, "openssl pkey -in %s -out %s"))
	case kind == "OPENSSH PRIVATE KEY":
		return refuse(BadFormat, nil, file.path+" holds a key in OpenSSH's own format",
			"convert it with: ssh-keygen -p -m PKCS8 -N '' -f "+quote(file.path))
	case strings.HasSuffix(kind, "PRIVATE KEY"):
		key, err := parseKey(block.Bytes)
		if err != nil {
			return refuse(BadFormat, err, fmt.Sprintf("the private key in %s can't be used: %v", file.path, err), "put the certificate's key there, RSA or ECDSA, in PEM")
		}
		c.keys++
		c.key = key
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

// parseKey reads a private key in any of the three unencrypted encodings.
func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if k, err1 := x509.ParsePKCS1PrivateKey(der); err1 == nil {
			return k, nil
		}
		if k, err1 := x509.ParseECPrivateKey(der); err1 == nil {
			return k, nil
		}
		return nil, err
	}
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

// refuseBinary says what a file that isn't PEM is, and how to convert it.
func (f *found) refuseBinary(file *file) error {
	data := file.data
	is := func(what string) string { return file.path + " is " + what + ", not PEM" }
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return refuse(BadFormat, nil, file.path+" is empty", "put the "+file.what+" there, in PEM")
	case isCertificate(data):
		return refuse(BadFormat, nil, is("a certificate in DER"),
			"convert it with: "+f.convert(file, certPrefix, "openssl x509 -inform DER -in %s -out %s"))
	case isKey(data):
		return refuse(BadFormat, nil, is("a private key in DER"),
			"convert it with: "+f.convert(file, keyPrefix, "openssl pkey -inform DER -in %s -out %s"))
	case isPKCS12(data):
		key := f.convert(file, keyPrefix, "openssl pkcs12 -nodes -nocerts -in %s -out %s")
		cert := f.convert(file, certPrefix, "openssl pkcs12 -nokeys -in %s -out %s")
		if file.path == f.pem(keyPrefix) {
			key, cert = cert, key // the one that replaces the file comes last
		}
		return refuse(BadFormat, nil, is("PKCS #12"), "take it apart with: "+key+" && "+cert)
	case isPKCS7(data):
		return refuse(BadFormat, nil, is("PKCS #7"),
			"convert it with: "+f.convert(file, certPrefix, "openssl pkcs7 -inform DER -print_certs -in %s -out %s"))
	case isEncryptedKey(data):
		return refuse(Encrypted, nil, is("an encrypted private key in DER"),
			"decrypt it with: "+f.convert(file, keyPrefix, "openssl pkcs8 -inform DER -in %s -out %s"))
	}
	return refuse(BadFormat, nil, file.path+" is neither PEM nor anything else that is known here", "put the "+file.what+" there, in PEM")
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

func isCertificate(der []byte) bool {
	_, err := x509.ParseCertificates(der)
	return err == nil
}

func isKey(der []byte) bool {
	_, err := parseKey(der)
	return err == nil
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
