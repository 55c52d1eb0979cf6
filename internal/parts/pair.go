package parts

import (
	"errors"
	"slices"

	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/host/service"
	"vda.internal/shadow/tlsstore"
)

// Passphrase is the name of the credential that opens an encrypted key.
const Passphrase = "shadowingpassphrase"

// Pair looks at the certificate that c describes, from outside the service. handed says that systemd hands
// the service the passphrase: what that was is to be seen here while the service runs, so seen is false, and
// nothing is known of the pair, where the key can't be opened with it.
func Pair(c *config.Config, host string, handed bool) (pair *tlsstore.Pair, seen bool, err error) {
	store := Store(c)
	pair, err = store.Load(host)
	if !handed || !locked(err) {
		return pair, true, err
	}
	store.Credentials = service.Credentials
	if pair, err = store.Load(host); locked(err) {
		return nil, false, nil
	}
	return pair, true, err
}

// locked reports whether an error is that the key couldn't be opened.
func locked(err error) bool {
	var le *tlsstore.LoadError
	return errors.As(err, &le) && slices.ContainsFunc(le.Findings, func(f tlsstore.Finding) bool {
		return f.Code == tlsstore.Encrypted || f.Code == tlsstore.BadPassphrase
	})
}
