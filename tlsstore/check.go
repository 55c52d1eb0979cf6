package tlsstore

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// check finds what is wrong with a pair that could be read. certs has at
// least one element.
func check(f *found, certs []*x509.Certificate, key crypto.Signer, host string) []Finding {
	findings := append(checkMatch(f, certs, key), checkSize(f.key, key)...)
	findings = append(findings, checkTime(f.cert, certs[0], time.Now())...)
	if host != "" {
		findings = append(findings, checkName(f.cert, certs[0], host)...)
	}
	return findings
}

// checkMatch checks that the key belongs to the first certificate.
func checkMatch(f *found, certs []*x509.Certificate, key crypto.Signer) []Finding {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return ok && public.Equal(c.PublicKey) })
	switch {
	case i == 0:
		return nil
	case i > 0:
		return []Finding{{
			Code:     Mismatch,
			Sentence: fmt.Sprintf("the certificate that belongs to the key is number %d in %s", i+1, f.cert),
			Remedy:   "put it first, and those of the authorities after it",
		}}
	}
	return []Finding{{
		Code:     Mismatch,
		Sentence: fmt.Sprintf("the key in %s doesn't belong to the certificate in %s", f.key, f.cert),
		Remedy:   "put the key there that the certificate was requested with",
	}}
}

// minRSA is the size in bits below which crypto/tls can't use an RSA key: it
// reads it without complaint and then fails every handshake.
const minRSA = 1024

func checkSize(path string, key crypto.Signer) []Finding {
	k, ok := key.(*rsa.PrivateKey)
	if !ok || k.N.BitLen() >= minRSA {
		return nil
	}
	return []Finding{{
		Code:     WeakKey,
		Sentence: fmt.Sprintf("the RSA key in %s has %d bits, too few for TLS", path, k.N.BitLen()),
		Remedy:   "have a certificate issued for one of 2048 bits or more",
	}}
}

func checkTime(path string, leaf *x509.Certificate, now time.Time) []Finding {
	const layout = "2006-01-02 15:04 MST"
	switch {
	case now.After(leaf.NotAfter):
		return []Finding{{
			Code:     Expired,
			Sentence: fmt.Sprintf("the certificate in %s expired on %s", path, leaf.NotAfter.UTC().Format(layout)),
			Remedy:   "put a renewed one there",
		}}
	case now.Before(leaf.NotBefore):
		return []Finding{{
			Code:     NotYetValid,
			Sentence: fmt.Sprintf("the certificate in %s is valid only from %s on", path, leaf.NotBefore.UTC().Format(layout)),
			Remedy:   fmt.Sprintf("check this machine's clock, which says %s, or put another one there", now.UTC().Format(layout)),
		}}
	}
	return nil
}

// checkName warns of a certificate that browsers will not accept for host.
func checkName(path string, leaf *x509.Certificate, host string) []Finding {
	if leaf.VerifyHostname(host) == nil {
		return nil
	}
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	f := Finding{
		Severity: Warning,
		Code:     NameMismatch,
		Sentence: fmt.Sprintf("the certificate in %s is for %s, not for %s", path, strings.Join(names, ", "), host),
		Remedy:   "browsers will refuse it: have one issued with the subject alternative name " + host,
	}
	if len(names) == 0 {
		f.Code = CNOnly
		f.Sentence = fmt.Sprintf("the certificate in %s has no subject alternative name, only the common name %q", path, leaf.Subject.CommonName)
	}
	return []Finding{f}
}
