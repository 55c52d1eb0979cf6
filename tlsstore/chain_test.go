package tlsstore_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/tlsstore"
)

// load loads what the certificates' file holds, with the key of the leaf.
func load(t *testing.T, leaf *issued, file ...*issued) *tlsstore.Pair {
	t.Helper()
	d := newDir(t)
	var parts [][]byte
	for _, i := range file {
		parts = append(parts, i.pem())
	}
	d.write("shadowingcert.pem", 0o644, parts...)
	d.write("shadowingkey.pem", 0o600, leaf.keyPEM(t))
	pair, err := (&tlsstore.Store{Dir: d.path}).Load("vda1.corp")
	require.NoError(t, err)
	return pair
}

func requireChain(t *testing.T, pair *tlsstore.Pair, want ...*issued) {
	t.Helper()
	var raw [][]byte
	for _, i := range want {
		raw = append(raw, i.cert.Raw)
	}
	require.Equal(t, raw, pair.Certificate.Certificate)
	require.Equal(t, want[0].cert, pair.Certificate.Leaf)
}

func codes(pair *tlsstore.Pair) (codes []tlsstore.Code) {
	for _, f := range pair.Findings {
		codes = append(codes, f.Code)
	}
	return codes
}

// An authority that has a root of its own, which not all browsers know, and a
// certificate by one that they do.
func TestCrossSigned(t *testing.T) {
	template := hostTemplate()
	toAuthority("New Root")(template)
	own, err := sign(template, nil, root.key) // root's key saves making one
	require.NoError(t, err)
	crossed := issue(t, authority(t, nil, "Old CA"), own.key, toAuthority("New Root"))
	oldCA := authority(t, nil, "Another")
	leaf := issue(t, own, nil, nil)
	for name, file := range map[string][]*issued{
		"root first":  {leaf, own, crossed},
		"cross first": {crossed, own, leaf},
	} {
		t.Run(name, func(t *testing.T) {
			pair := load(t, leaf, file...)
			requireChain(t, pair, leaf, crossed)
			assert.Empty(t, pair.Findings)
		})
	}
	t.Run("without the root", func(t *testing.T) {
		pair := load(t, leaf, leaf, crossed)
		requireChain(t, pair, leaf, crossed)
		assert.Equal(t, []tlsstore.Code{tlsstore.IncompleteChain}, codes(pair))
		assert.Contains(t, pair.Findings[0].Sentence, `was issued by "Old CA"`)
	})
	t.Run("trusted root", func(t *testing.T) {
		crossed := issue(t, authority(t, own, "Old CA"), root.key, toAuthority("Test Root"))
		leaf := issue(t, nil, nil, nil)
		pair := load(t, leaf, leaf, crossed)
		requireChain(t, pair, leaf, crossed)
		assert.Empty(t, pair.Findings, "the machine knows a shorter way")
	})
	t.Run("another authority", func(t *testing.T) {
		pair := load(t, leaf, leaf, oldCA, own)
		requireChain(t, pair, leaf)
		assert.Equal(t, []tlsstore.Code{tlsstore.Unrelated}, codes(pair))
	})
}

// Two authorities that vouch for each other don't make the chain endless.
func TestCircle(t *testing.T) {
	a, b := authority(t, nil, "A"), authority(t, nil, "B")
	aByB, bByA := issue(t, b, a.key, toAuthority("A")), issue(t, a, b.key, toAuthority("B"))
	leaf := issue(t, a, nil, nil)
	pair := load(t, leaf, bByA, aByB, leaf)
	requireChain(t, pair, leaf, aByB, bByA)
	assert.Equal(t, []tlsstore.Code{tlsstore.IncompleteChain}, codes(pair))
}

// A certificate renewed for the same key stands beside its predecessor.
func TestRenewed(t *testing.T) {
	old := issue(t, nil, nil, nil)
	longer := issue(t, nil, old.key, func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(time.Hour) })
	future := issue(t, nil, old.key, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(100*time.Hour)
	})
	requireChain(t, load(t, old, old, longer), longer)
	requireChain(t, load(t, old, longer, old), longer)
	pair := load(t, old, future, longer, old)
	requireChain(t, pair, longer)
	assert.Equal(t, []tlsstore.Code{tlsstore.Unrelated, tlsstore.Unrelated}, codes(pair))
}

// An authority whose key may sign, but not certificates.
func TestKeyUsageOfAnAuthority(t *testing.T) {
	middle := issue(t, nil, nil, func(c *x509.Certificate) {
		toAuthority("Middle")(c)
		c.KeyUsage = x509.KeyUsageDigitalSignature
	})
	leaf := issue(t, middle, nil, nil)
	pair := load(t, leaf, leaf, middle)
	requireChain(t, pair, leaf, middle)
	assert.Equal(t, []tlsstore.Code{tlsstore.NotAuthority}, codes(pair))
}
