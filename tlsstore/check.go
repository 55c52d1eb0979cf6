package tlsstore

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"
	"time"
)

// check finds what is wrong with a pair that could be read, and puts the
// certificates into their order. certs has at least one element; so has the
// result, unless there is a finding of Mismatch.
func (f *found) check(certs []*x509.Certificate, key crypto.Signer, host string, now time.Time) ([]*x509.Certificate, []Finding) {
	ch := arrange(certs, key, now)
	if ch == nil {
		mismatch := f.mismatch(certs)
		if mismatch.Code == WeakKey { // all that checkLeaf could add is said
			return nil, []Finding{mismatch}
		}
		return nil, append([]Finding{mismatch}, f.checkLeaf(certs[0], host, now)...)
	}
	findings := f.checkLeaf(ch.certs[0], host, now)
	for _, c := range ch.certs[1:] {
		findings = append(findings, f.checkIssuer(c, now)...)
	}
	return ch.certs, append(findings, f.checkChain(ch)...)
}

// mismatch says why no certificate belongs to the key.
func (f *found) mismatch(certs []*x509.Certificate) Finding {
	if slices.ContainsFunc(certs, isPSSOnly) {
		return Finding{
			Code:     WeakKey,
			Sentence: fmt.Sprintf("the certificate in %s is for a key of the type RSA-PSS, which this program's TLS can't use", f.cert),
			Remedy:   "have a certificate issued for an ordinary RSA key (openssl genpkey -algorithm RSA) or for ECDSA with P-256; it may be signed with RSA-PSS",
		}
	}
	return Finding{
		Code:     Mismatch,
		Sentence: fmt.Sprintf("the key in %s doesn't belong to the certificate in %s", f.key, f.cert),
		Remedy:   "put the key there that the certificate was requested with",
	}
}

// checkLeaf judges the host's own certificate.
func (f *found) checkLeaf(leaf *x509.Certificate, host string, now time.Time) []Finding {
	what := "the certificate in " + f.cert
	findings := checkKeySize("the key of "+what, leaf)
	findings = append(findings, checkSignature(what, leaf)...)
	findings = append(findings, checkTime(what, leaf, now)...)
	findings = append(findings, checkUsage(what, leaf)...)
	if host != "" {
		findings = append(findings, checkName(what, leaf, host)...)
	}
	return findings
}

// checkIssuer judges an authority's certificate. That its time is over is no
// error, since browsers may know another way to a root.
func (f *found) checkIssuer(c *x509.Certificate, now time.Time) []Finding {
	what := fmt.Sprintf("the certificate of %s in %s", nameOf(c), f.cert)
	findings := checkKeySize("the key of "+what, c)
	findings = append(findings, checkSignature(what, c)...)
	for _, finding := range checkTime(what, c, now) {
		if finding.Code == Expired || finding.Code == NotYetValid {
			finding.Severity = Warning
			findings = append(findings, finding)
		}
	}
	return findings
}

const (
	// minRSA is the size in bits below which crypto/tls can't use an RSA key:
	// it reads it without complaint and then fails every handshake.
	minRSA = 1024
	// goodRSA is what authorities and some browsers insist on.
	goodRSA = 2048
)

// checkKeySize judges the certificate's key. Browsers have ECDSA with P-256
// and P-384, and not all have more.
func checkKeySize(what string, c *x509.Certificate) []Finding {
	const remedy = "have a certificate issued for RSA with 2048 bits or more, or for ECDSA with P-256"
	finding := Finding{Severity: Warning, Code: WeakKey, Remedy: remedy}
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		switch n := k.N.BitLen(); {
		case n >= goodRSA:
			return nil
		case n < minRSA:
			finding.Severity = Error
			finding.Sentence = fmt.Sprintf("%s has %d bits, too few for TLS", what, n)
		default:
			finding.Sentence = fmt.Sprintf("%s has %d bits, too few for some browsers", what, n)
		}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384():
			return nil
		case elliptic.P521():
			finding.Sentence = what + " is on the curve P-521, which some browsers can't use"
		default:
			finding.Severity = Error
			finding.Sentence = fmt.Sprintf("%s is on the curve %s, which TLS can't use", what, k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		finding.Sentence = what + " is for Ed25519, which browsers can't use"
	default:
		finding.Severity = Error
		finding.Sentence = what + " is of a kind that TLS can't use"
	}
	return []Finding{finding}
}

// isWeak reports whether a signature is made with less than SHA-256, or with
// something unknown.
func isWeak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return false
	}
	return true
}

// checkSignature judges who vouches for c and how. A signature of its own
// doesn't count.
func checkSignature(what string, c *x509.Certificate) []Finding {
	if !isWeak(c.SignatureAlgorithm) || isSelfSigned(c) {
		return nil
	}
	return []Finding{{
		Code:     WeakSignature,
		Sentence: fmt.Sprintf("%s is signed with %v", what, c.SignatureAlgorithm),
		Remedy:   "browsers refuse less than SHA-256: have it issued again with that or better",
	}}
}

// maxLife is the longest time that all browsers accept, of a private
// authority too (support.apple.com/HT210176).
const maxLife = 825 * 24 * time.Hour

func checkTime(what string, c *x509.Certificate, now time.Time) []Finding {
	const layout = "2006-01-02 15:04 MST"
	switch {
	case now.After(c.NotAfter):
		return []Finding{{
			Code:     Expired,
			Sentence: fmt.Sprintf("%s expired on %s", what, c.NotAfter.UTC().Format(layout)),
			Remedy:   "put a renewed one there",
		}}
	case now.Before(c.NotBefore):
		return []Finding{{
			Code:     NotYetValid,
			Sentence: fmt.Sprintf("%s is valid only from %s on", what, c.NotBefore.UTC().Format(layout)),
			Remedy:   "check this machine's clock, or put another one there",
		}}
	case c.NotAfter.Sub(c.NotBefore) > maxLife:
		return []Finding{{
			Severity: Warning, Code: LongLife,
			Sentence: fmt.Sprintf("%s is valid for %d days", what, int(c.NotAfter.Sub(c.NotBefore).Hours()/24)),
			Remedy:   "Safari refuses more than 825: have one issued for less",
		}}
	}
	return nil
}

// checkUsage judges what the certificate may be used for (RFC 5280 sections
// 4.2.1.3 and 4.2.1.12). Without the extensions it may be used for all.
func checkUsage(what string, leaf *x509.Certificate) []Finding {
	var findings []Finding
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		findings = append(findings, Finding{
			Code:     NotForServers,
			Sentence: what + " isn't meant for servers",
			Remedy:   "browsers refuse it: have one issued with the extended key usage serverAuth",
		})
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		findings = append(findings, Finding{
			Severity: Warning, Code: BadUsage,
			Sentence: what + " doesn't let its key sign, as TLS does",
			Remedy:   "browsers will refuse it: have one issued with the key usage digitalSignature",
		})
	}
	return findings
}

// checkName warns of a certificate that browsers will not accept for host.
func checkName(what string, leaf *x509.Certificate, host string) []Finding {
	f := Finding{
		Severity: Warning,
		Code:     NameMismatch,
		Remedy:   "browsers will refuse it: have one issued with the subject alternative name " + host,
	}
	if leaf.VerifyHostname(host) == nil {
		strict := *leaf
		strict.DNSNames = slices.DeleteFunc(slices.Clone(leaf.DNSNames), isTooWide)
		if strict.VerifyHostname(host) == nil {
			return nil
		}
		f.Sentence = fmt.Sprintf("%s is for %s, a wildcard that takes in a whole top-level domain", what, strings.Join(leaf.DNSNames, ", "))
		return []Finding{f}
	}
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	f.Sentence = fmt.Sprintf("%s is for %s, not for %s", what, strings.Join(names, ", "), host)
	if len(names) == 0 {
		f.Code = CNOnly
		f.Sentence = fmt.Sprintf("%s has no subject alternative name, only the common name %q", what, leaf.Subject.CommonName)
	}
	return []Finding{f}
}

// isTooWide reports whether name is a wildcard directly below the top, as
// *.corp, which Go accepts and browsers don't.
func isTooWide(name string) bool {
	rest, ok := strings.CutPrefix(name, "*.")
	return ok && !strings.Contains(rest, ".")
}

// nameOf is how messages call a certificate.
func nameOf(c *x509.Certificate) string { return fmt.Sprintf("%q", shortName(c.Subject)) }

func issuerName(c *x509.Certificate) string { return shortName(c.Issuer) }

func shortName(name pkix.Name) string { return cmp.Or(name.CommonName, name.String()) }
