package tlsstore_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/youmark/pkcs8"

	"vda.internal/shadow/tlsstore"
)

// A reloads is what OnReload was told.
type reloads struct {
	mu    sync.Mutex
	pairs []*tlsstore.Pair
	errs  []error
}

func (r *reloads) add(pair *tlsstore.Pair, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pairs, r.errs = append(r.pairs, pair), append(r.errs, err)
}

// take returns the only one since the last call.
func (r *reloads) take(t *testing.T) (*tlsstore.Pair, error) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.pairs, 1)
	pair, err := r.pairs[0], r.errs[0]
	r.pairs, r.errs = nil, nil
	return pair, err
}

func served(t *testing.T, config *tls.Config) *x509.Certificate {
	t.Helper()
	c, err := config.GetCertificate(&tls.ClientHelloInfo{})
	require.NoError(t, err)
	return c.Leaf
}

// A config that is in use follows the files within a second, and keeps what it
// has when they go bad.
func TestReload(t *testing.T) {
	d := newDir(t)
	synctest.Test(t, func(t *testing.T) {
		var told reloads
		first, second, third := issue(t, nil, nil, nil), issue(t, nil, nil, nil), issue(t, nil, nil, nil)
		d.write("shadowingcert.crt", 0o644, first.pem())
		d.write("shadowingkey.pem", 0o600, first.keyPEM(t))
		store := &tlsstore.Store{Dir: d.path, OnReload: told.add}
		config, err := store.TLSConfig("vda1.corp")
		require.NoError(t, err)
		assert.Equal(t, first.cert, served(t, config))
		time.Sleep(time.Second)
		assert.Equal(t, first.cert, served(t, config), "unchanged")
		require.Empty(t, told.pairs)

		// Half of a renewal: the key is still the old one.
		d.write("shadowingcert.crt", 0o644, second.pem())
		time.Sleep(time.Second)
		assert.Equal(t, first.cert, served(t, config), "bad")
		_, err = told.take(t)
		requireRefusal(t, err, d, tlsstore.Mismatch,
			"the key in DIR/shadowingkey.pem doesn't belong to the certificate in DIR/shadowingcert.crt; put the key there that the certificate was requested with")
		_, err = store.TLSConfig("vda1.corp")
		require.Error(t, err, "a new request is refused")
		for range 3 {
			time.Sleep(time.Second)
			served(t, config)
		}
		require.Empty(t, told.pairs, "it is said once")

		d.write("shadowingkey.pem", 0o600, second.keyPEM(t))
		time.Sleep(time.Second / 2)
		assert.Equal(t, first.cert, served(t, config), "it doesn't look more than once a second")
		time.Sleep(time.Second / 2)
		assert.Equal(t, second.cert, served(t, config), "good")
		pair, err := told.take(t)
		require.NoError(t, err)
		assert.Equal(t, second.cert, pair.Certificate.Leaf)

		// The mode alone, which is no change of the content.
		require.NoError(t, os.Chmod(d.file("shadowingkey.pem"), 0o644))
		time.Sleep(time.Second)
		assert.Equal(t, second.cert, served(t, config))
		_, err = told.take(t)
		require.ErrorContains(t, err, "others can use the private key")

		// A file that is preferred appears, and the key is replaced by renaming.
		d.write("shadowingcert.pem", 0o644, third.pem())
		d.write("new", 0o600, third.keyPEM(t))
		require.NoError(t, os.Rename(d.file("new"), d.file("shadowingkey.pem")))
		time.Sleep(time.Second)
		assert.Equal(t, third.cert, served(t, config))
		pair, err = told.take(t)
		require.NoError(t, err)
		assert.Equal(t, tlsstore.Several, pair.Findings[0].Code)

		require.NoError(t, os.RemoveAll(d.path))
		time.Sleep(time.Second)
		assert.Equal(t, third.cert, served(t, config))
		_, err = told.take(t)
		require.ErrorContains(t, err, "doesn't exist")
	})
}

// What was refused for a directory above the store is taken when that is
// mended, though no file has changed then.
func TestReloadWhatIsMendedAbove(t *testing.T) {
	d := newDir(t)
	require.NoError(t, os.Mkdir(d.file("ssl"), 0o755))
	ssl := dir{d.t, d.file("ssl")}
	synctest.Test(t, func(t *testing.T) {
		var told reloads
		first, second := issue(t, nil, nil, nil), issue(t, nil, nil, nil)
		ssl.pair(first)
		config, err := (&tlsstore.Store{Dir: ssl.path, OnReload: told.add}).TLSConfig("vda1.corp")
		require.NoError(t, err)

		require.NoError(t, os.Chmod(d.path, 0o777))
		ssl.pair(second)
		for range 3 {
			time.Sleep(time.Second)
			require.Equal(t, first.cert, served(t, config))
		}
		_, err = told.take(t)
		require.ErrorContains(t, err, "chmod ")

		require.NoError(t, os.Chmod(d.path, 0o755))
		time.Sleep(time.Second)
		require.Equal(t, second.cert, served(t, config))
		pair, err := told.take(t)
		require.NoError(t, err)
		require.Equal(t, second.cert, pair.Certificate.Leaf)
		time.Sleep(time.Second)
		served(t, config)
		require.Empty(t, told.pairs, "it is said once")
	})
}

// Whoever asks for a config hears what is to be warned of.
func TestOnLoad(t *testing.T) {
	d := newDir(t)
	d.pair(issue(t, nil, nil, nil))
	var codes []tlsstore.Code
	store := &tlsstore.Store{Dir: d.path, OnLoad: func(pair *tlsstore.Pair) {
		for _, f := range pair.Findings {
			codes = append(codes, f.Code)
		}
	}}
	_, err := store.TLSConfig("vda2.corp")
	require.NoError(t, err)
	assert.Contains(t, codes, tlsstore.NameMismatch)
}

// Of viewers that come at once one reads the files, and all are served.
func TestReloadTogether(t *testing.T) {
	d := newDir(t)
	synctest.Test(t, func(t *testing.T) {
		var told reloads
		d.pair(issue(t, nil, nil, nil))
		config, err := (&tlsstore.Store{Dir: d.path, OnReload: told.add}).TLSConfig("vda1.corp")
		require.NoError(t, err)
		next := issue(t, nil, nil, nil)
		d.pair(next)
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { assert.NotNil(t, served(t, config)) })
		}
		wg.Wait()
		_, err = told.take(t)
		require.NoError(t, err)
		assert.Equal(t, next.cert, served(t, config))
	})
}

// ConfigMaps and renewal tools change the link that the files are behind.
func TestReloadBehindALink(t *testing.T) {
	d := newDir(t)
	synctest.Test(t, func(t *testing.T) {
		versions := []*issued{issue(t, nil, nil, nil), issue(t, nil, nil, nil)}
		for i, name := range []string{"v1", "v2"} {
			require.NoError(t, os.Mkdir(d.file(name), 0o755))
			dir{d.t, d.file(name)}.pair(versions[i])
		}
		require.NoError(t, os.Mkdir(d.file("ssl"), 0o755))
		require.NoError(t, os.Symlink("v1", d.file("data")))
		for _, name := range []string{"shadowingcert.pem", "shadowingkey.pem"} {
			require.NoError(t, os.Symlink("../data/"+name, d.file("ssl/"+name)))
		}
		config, err := (&tlsstore.Store{Dir: d.file("ssl")}).TLSConfig("vda1.corp")
		require.NoError(t, err)
		require.Equal(t, versions[0].cert, served(t, config))
		require.NoError(t, os.Symlink("v2", d.file("next")))
		require.NoError(t, os.Rename(d.file("next"), d.file("data")))
		time.Sleep(time.Second)
		require.Equal(t, versions[1].cert, served(t, config))
	})
}

// A changed credential is noticed as a changed file is.
func TestReloadOfACredential(t *testing.T) {
	d := newDir(t)
	credentials := newDir(t)
	synctest.Test(t, func(t *testing.T) {
		var told reloads
		pair := issue(t, nil, nil, nil)
		der, err := pkcs8.MarshalPrivateKey(pair.key, []byte("secret"), nil)
		require.NoError(t, err)
		d.write("shadowingcert.pem", 0o644, pair.pem())
		d.write("shadowingkey.pem", 0o600, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}))
		credentials.write("shadowingpassphrase", 0o600, []byte("secret"))
		store := &tlsstore.Store{Dir: d.path, Credentials: credentials.path, OnReload: told.add}
		config, err := store.TLSConfig("vda1.corp")
		require.NoError(t, err)
		credentials.write("shadowingpassphrase", 0o600, []byte("no longer"))
		time.Sleep(time.Second)
		assert.Equal(t, pair.cert, served(t, config), "what is in use stays")
		_, err = told.take(t)
		assert.ErrorContains(t, err, "doesn't open the private key")
	})
}
