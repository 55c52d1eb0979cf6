package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode"

	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/internal/parts"
	"vda.internal/shadow/tlsstore"
)

// callTime bounds each question to another program of the host.
const callTime = 5 * time.Second

// words is an error in one line for people.
func words(err error) string {
	return oneLine(strings.ReplaceAll(named.Text(err), "\n", "; ")) // several in one
}

// oneLine makes a text from outside fit for a report.
func oneLine(s string) string {
	fields := strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	return strings.Join(fields, " ")
}

// judgePair turns a store's findings into checks.
func (d *Doctor) judgePair() {
	store := d.store()
	pair, err := store.Load(d.fqdn)
	var le *tlsstore.LoadError
	switch {
	case d.host.uid != 0 && errors.Is(err, fs.ErrPermission):
		d.seal = true
		d.unseen("certificate", words(err), asRoot)
	case errors.As(err, &le):
		for _, f := range le.Findings {
			d.finding(f, store.Credentials)
		}
	case err != nil:
		d.broken("certificate", words(err), "see that the files can be read")
	case len(pair.Findings) > 0:
		for _, f := range pair.Findings {
			d.finding(f, "")
		}
	default:
		leaf := pair.Certificate.Leaf
		d.ok("certificate", fmt.Sprintf("%s is for %s and good until %s", pair.CertFile, strings.Join(leaf.DNSNames, ", "), leaf.NotAfter.Format(time.DateOnly)))
	}
}

// store is the daemon's, with its credentials.
func (d *Doctor) store() *tlsstore.Store {
	s := parts.Store(d.cfg)
	s.Credentials, _ = d.daemonCredentials()
	return s
}

// refused are the warnings with which browsers, or some, refuse a certificate
// whatever authorities they trust. The engine serves it to other viewers.
var refused = []tlsstore.Code{tlsstore.NameMismatch, tlsstore.CNOnly, tlsstore.BadUsage, tlsstore.NotAuthority, tlsstore.WeakKey}

// finding is one of the store's. credentials is the daemon's directory of them,
// with which the store couldn't be opened.
func (d *Doctor) finding(f tlsstore.Finding, credentials string) {
	if credentials != "" && f.Code == tlsstore.Encrypted {
		d.seal = true
		d.unseen("certificate", fmt.Sprintf("%s here, but shadowd has credentials of its own in %s, which can't be seen from here", f.Sentence, credentials),
			"see in shadowd's log whether it could open it: journalctl -u shadowd")
		return
	}
	state := Note
	if f.Severity == tlsstore.Error || slices.Contains(refused, f.Code) {
		state = Bad
	}
	d.add(Check{Name: "certificate", State: state, Found: f.Sentence, Remedy: f.Remedy})
}

// plural is "1 port" or "3 ports".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// first names some of a list, and says how many there are more.
func first(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
