package tlsport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A suite is a cipher suite of TLS 1.2 that crypto/tls has, in OpenSSL's words.
type suite struct {
	name  string
	words []string
	id    uint16
}

var suites = []suite{
	{"ECDHE-ECDSA-AES256-GCM-SHA384", []string{"ECDHE", "ECDSA", "AES", "AES256", "AESGCM", "HIGH", "SHA384"}, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	{"ECDHE-RSA-AES256-GCM-SHA384", []string{"ECDHE", "RSA", "AES", "AES256", "AESGCM", "HIGH", "SHA384"}, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
	{"ECDHE-ECDSA-CHACHA20-POLY1305", []string{"ECDHE", "ECDSA", "CHACHA20", "HIGH"}, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
	{"ECDHE-RSA-CHACHA20-POLY1305", []string{"ECDHE", "RSA", "CHACHA20", "HIGH"}, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
	{"ECDHE-ECDSA-AES128-GCM-SHA256", []string{"ECDHE", "ECDSA", "AES", "AES128", "AESGCM", "HIGH", "SHA256"}, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	{"ECDHE-RSA-AES128-GCM-SHA256", []string{"ECDHE", "RSA", "AES", "AES128", "AESGCM", "HIGH", "SHA256"}, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	{"ECDHE-ECDSA-AES256-SHA", []string{"ECDHE", "ECDSA", "AES", "AES256", "HIGH", "SHA1"}, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA},
	{"ECDHE-RSA-AES256-SHA", []string{"ECDHE", "RSA", "AES", "AES256", "HIGH", "SHA1"}, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA},
	{"ECDHE-ECDSA-AES128-SHA", []string{"ECDHE", "ECDSA", "AES", "AES128", "HIGH", "SHA1"}, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
	{"ECDHE-RSA-AES128-SHA", []string{"ECDHE", "RSA", "AES", "AES128", "HIGH", "SHA1"}, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA},
	{"AES256-GCM-SHA384", []string{"kRSA", "RSA", "AES", "AES256", "AESGCM", "HIGH", "SHA384"}, tls.TLS_RSA_WITH_AES_256_GCM_SHA384},
	{"AES128-GCM-SHA256", []string{"kRSA", "RSA", "AES", "AES128", "AESGCM", "HIGH", "SHA256"}, tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
	{"AES256-SHA", []string{"kRSA", "RSA", "AES", "AES256", "HIGH", "SHA1"}, tls.TLS_RSA_WITH_AES_256_CBC_SHA},
	{"AES128-SHA", []string{"kRSA", "RSA", "AES", "AES128", "HIGH", "SHA1"}, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
}

// aliases are other words of OpenSSL for the same.
var aliases = map[string]string{"EECDH": "ECDHE", "kEECDH": "ECDHE", "kECDHE": "ECDHE", "aECDSA": "ECDSA", "aRSA": "RSA", "SHA": "SHA1"}

// ParseCiphers reads a list in the syntax of "openssl ciphers": names and
// words such as HIGH, ECDHE or AESGCM, joined by + where both have to hold, with
// ! or - in front to take out, separated by colons, commas or blanks. As in
// OpenSSL what isn't known here is passed over, and it is an error if nothing
// is left. The order doesn't matter: crypto/tls has its own. TLS 1.3 has its own suites.
func ParseCiphers(list string) ([]uint16, error) {
	var chosen, banned []uint16
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(":, ;", r) }) {
		word := strings.TrimLeft(item, "!-+")
		ids := matching(word)
		switch item[0] {
		case '!':
			banned = append(banned, ids...)
			fallthrough
		case '-':
			chosen = slices.DeleteFunc(chosen, func(id uint16) bool { return slices.Contains(ids, id) })
		case '+', '@': // an order, of what is chosen
		default:
			for _, id := range ids {
				if !slices.Contains(chosen, id) && !slices.Contains(banned, id) {
					chosen = append(chosen, id)
				}
			}
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%w: %q", errNoCipher, list)
	}
	return chosen, nil
}

var errNoCipher = errors.New("no cipher is left of the list")

// matching are the suites that have all words, or the name.
func matching(item string) (ids []uint16) {
	words := strings.Split(item, "+")
	for _, s := range suites {
		if s.name == item || !slices.ContainsFunc(words, func(w string) bool { return !s.has(w) }) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

func (s *suite) has(word string) bool {
	if word == "ALL" || word == "DEFAULT" || word == "TLSv1.2" {
		return true
	}
	if a, ok := aliases[word]; ok {
		word = a
	}
	return slices.Contains(s.words, word)
}
