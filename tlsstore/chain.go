package tlsstore

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A chain is what leads from the host's certificate to a root.
type chain struct {
	certs []*x509.Certificate // leaf first; without the root, unless it is the leaf
	root  *x509.Certificate   // nil if the file doesn't have it
	rest  []*x509.Certificate // what else was in the file
}

// arrange finds the certificate that belongs to the key and puts those of the
// authorities behind it, whatever order they come in (RFC 8446 section 4.4.2:
// each certifies the one before it, and the root may be left out). It returns
// nil if there is none for the key.
func arrange(certs []*x509.Certificate, key crypto.Signer, now time.Time) *chain {
	var todo []*x509.Certificate
	for _, c := range certs {
		if !slices.ContainsFunc(todo, c.Equal) {
			todo = append(todo, c)
		}
	}
	take := func(c *x509.Certificate) {
		todo = slices.DeleteFunc(todo, func(d *x509.Certificate) bool { return d == c })
	}
	leaf := leafOf(todo, key, now)
	if leaf == nil {
		return nil
	}
	ch := &chain{certs: []*x509.Certificate{leaf}}
	take(leaf)
	for c := leaf; c != nil && !isSelfSigned(c); {
		next := issuerOf(c, todo)
		if next == nil {
			break
		}
		take(next)
		if isSelfSigned(next) {
			ch.root = next
			break
		}
		ch.certs = append(ch.certs, next)
		c = next
	}
	// An authority may be there as a root and, for browsers that don't know it,
	// with a certificate by another one as well.
	for _, c := range todo {
		if isSelfSigned(c) && slices.ContainsFunc(ch.certs, func(d *x509.Certificate) bool { return samePublicKey(c, d) }) {
			ch.root = c
			take(c)
			break
		}
	}
	ch.rest = todo
	return ch
}

// leafOf picks the certificate of the key. A renewed one may stand beside its
// predecessor: the one that is valid now is taken, then the one that is valid
// longest.
func leafOf(certs []*x509.Certificate, key crypto.Signer, now time.Time) *x509.Certificate {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil
	}
	var own []*x509.Certificate
	for _, c := range certs {
		if public.Equal(c.PublicKey) {
			own = append(own, c)
		}
	}
	if len(own) == 0 {
		return nil
	}
	valid := func(c *x509.Certificate) int {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return 1
		}
		return 0
	}
	return slices.MinFunc(own, func(a, b *x509.Certificate) int {
		return cmp.Or(cmp.Compare(valid(a), valid(b)), b.NotAfter.Compare(a.NotAfter))
	})
}

// issuerOf picks who issued c, rather one that others vouch for than a root.
func issuerOf(c *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	var root *x509.Certificate
	for _, p := range among {
		if !isIssuer(p, c) {
			continue
		}
		if !isSelfSigned(p) {
			return p
		}
		root = p
	}
	return root
}

// isIssuer reports whether p's key has signed c. Whether p was allowed to is
// another question, and MD5, which Go doesn't compute here, goes by the names.
func isIssuer(p, c *x509.Certificate) bool {
	if !bytes.Equal(c.RawIssuer, p.RawSubject) {
		return false
	}
	err := p.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
	var insecure x509.InsecureAlgorithmError
	return err == nil || errors.As(err, &insecure)
}

func isSelfSigned(c *x509.Certificate) bool { return isIssuer(c, c) }

func samePublicKey(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// isTrusted reports whether this machine's authorities vouch for a certificate
// of the chain, whatever its time and use are. Weak signatures, which are a
// finding of their own, are passed over.
func (ch *chain) isTrusted() bool {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(ch.certs, func(c *x509.Certificate) bool {
		if isWeak(c.SignatureAlgorithm) && !isSelfSigned(c) {
			return true
		}
		_, err := c.Verify(x509.VerifyOptions{
			Roots:       roots,
			CurrentTime: c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2),
			KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		var unknown x509.UnknownAuthorityError
		return !errors.As(err, &unknown)
	})
}

// mayIssue reports whether c is an authority's certificate (RFC 5280 sections
// 4.2.1.3 and 4.2.1.9).
func mayIssue(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && (c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0)
}

// checkChain judges what leads from the host's certificate to the root.
func (f *found) checkChain(ch *chain) []Finding {
	var findings []Finding
	for _, c := range ch.rest {
		findings = append(findings, Finding{
			Severity: Warning, Code: Unrelated,
			Sentence: fmt.Sprintf("the certificate of %s in %s isn't part of the host's chain and is left aside", nameOf(c), f.cert),
			Remedy:   "remove it",
		})
	}
	issuers := ch.certs[1:]
	if ch.root != nil {
		issuers = append(slices.Clone(issuers), ch.root)
	}
	for _, c := range issuers {
		if !mayIssue(c) {
			findings = append(findings, Finding{
				Severity: Warning, Code: NotAuthority,
				Sentence: fmt.Sprintf("the certificate of %s in %s has issued another, but isn't marked as an authority's", nameOf(c), f.cert),
				Remedy:   "browsers will refuse it: have it issued again with the basic constraint CA and the key usage keyCertSign",
			})
		}
	}
	top := ch.certs[len(ch.certs)-1]
	if ch.root != nil || ch.isTrusted() {
		return findings
	}
	if isSelfSigned(top) {
		return append(findings, Finding{
			Severity: Warning, Code: SelfSigned,
			Sentence: fmt.Sprintf("the certificate in %s has signed itself", f.cert),
			Remedy:   "browsers reject it unless configured to trust it: have one issued by an authority that they trust",
		})
	}
	return append(findings, Finding{
		Severity: Warning, Code: IncompleteChain,
		Sentence: fmt.Sprintf("the certificate of %s in %s was issued by %q, whose own certificate is neither in the file nor among the roots that this machine trusts", nameOf(top), f.cert, issuerName(top)),
		Remedy:   "browsers that don't have it will refuse the connection: append it to the file; if it is a root, add it to this machine's (update-ca-certificates or update-ca-trust)",
	})
}
