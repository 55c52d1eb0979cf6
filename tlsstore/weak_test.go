package tlsstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/tlsstore"
)

// A weak signature is an error of an authority's, and says nothing in a certificate that has signed itself.
func TestWeakSignatures(t *testing.T) {
	weak := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }
	load := func(i *issued) ([]tlsstore.Finding, error) {
		d := newDir(t)
		d.pair(i)
		pair, err := (&tlsstore.Store{Dir: d.path}).Load("vda1.corp")
		if err != nil {
			return nil, err
		}
		return pair.Findings, nil
	}
	_, err := load(issue(t, nil, nil, weak))
	require.ErrorContains(t, err, "is signed with ECDSA-SHA1")

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := hostTemplate()
	weak(template)
	own, err := sign(template, nil, key)
	require.NoError(t, err)
	findings, err := load(own)
	require.NoError(t, err)
	for _, f := range findings {
		assert.NotEqual(t, tlsstore.WeakSignature, f.Code)
	}
}
