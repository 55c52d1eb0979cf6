// Package auth has the checks that --auth-plugin names: who may connect.
//
//	checker, err := auth.New("BasicHTTPAuth", "alice:secret")
//	if err != nil {
//		return err
//	}
//	if refusal := checker.Check(r); refusal != nil {
//		refusal.Write(w)
//		return
//	}
package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// A Checker decides about requests.
type Checker interface {
	Check(*http.Request) *Refusal // nil: admitted
}

// A Refusal is the answer to a request that isn't admitted.
type Refusal struct {
	Status int         // of HTTP
	Header http.Header // what the answer has besides; may be nil
	Reason string      // for the log
}

// Write answers the request.
func (f *Refusal) Write(w http.ResponseWriter) {
	h := w.Header()
	maps.Copy(h, f.Header)
	h.Set("Content-Type", "text/html")
	h.Set("Content-Length", "0")
	h.Set("Connection", "close")
	w.WriteHeader(f.Status)
}

// ErrUnknownPlugin: there is no plugin of that name here.
var ErrUnknownPlugin = errors.New("no such plugin")

// Plugins are the names that New takes, sorted.
var Plugins = []string{"BasicHTTPAuth", "ClientCertCNAuth", "ExpectOrigin"}

// New makes the checker of a plugin's name, with or without
// "websockify.auth_plugins." in front. What source is depends on the plugin.
func New(plugin, source string) (Checker, error) {
	switch strings.TrimPrefix(plugin, "websockify.auth_plugins.") {
	case "BasicHTTPAuth":
		if !strings.Contains(source, ":") {
			return nil, errors.New("BasicHTTPAuth needs --auth-source=user:password")
		}
		return basic(source), nil
	case "ExpectOrigin":
		return origins(strings.Fields(source)), nil
	case "ClientCertCNAuth":
		return commonNames(strings.Fields(source)), nil
	}
	return nil, fmt.Errorf("%w: %q (there are %s; Python classes need the Python websockify)", ErrUnknownPlugin, plugin, strings.Join(Plugins, ", "))
}

// basic is a user and password joined by a colon.
type basic string

// Check implements Checker (RFC 7617).
func (b basic) Check(r *http.Request) *Refusal {
	header := r.Header.Get("Authorization")
	if header == "" {
		return b.demand("no Authorization header")
	}
	const scheme = "Basic "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return &Refusal{Status: http.StatusForbidden, Reason: "Authorization header isn't Basic"}
	}
	got, err := base64.StdEncoding.DecodeString(strings.TrimSpace(header[len(scheme):]))
	if err != nil || !strings.Contains(string(got), ":") {
		return &Refusal{Status: http.StatusForbidden, Reason: "malformed Authorization header"}
	}
	// Both ways a browser may have encoded them.
	if subtle.ConstantTimeCompare(got, []byte(b))|subtle.ConstantTimeCompare([]byte(fromLatin1(got)), []byte(b)) != 1 {
		return b.demand("wrong user or password")
	}
	return nil
}

func (basic) demand(reason string) *Refusal {
	return &Refusal{http.StatusUnauthorized, http.Header{"Www-Authenticate": {`Basic realm="Websockify"`}}, reason}
}

func fromLatin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

// origins are those that may be in the Origin header, compared as they stand.
type origins []string

// Check implements Checker.
func (o origins) Check(r *http.Request) *Refusal {
	origin := r.Header.Get("Origin")
	if origin != "" && slices.Contains(o, origin) {
		return nil
	}
	return &Refusal{Status: http.StatusForbidden,
		Reason: fmt.Sprintf("Invalid Origin Header: Expected one of %q, got %q", []string(o), origin)}
}

// commonNames are those that a client's certificate may have.
type commonNames []string

// Check implements Checker. The name comes from a certificate that the TLS
// handshake has verified (--verify-client), and from nowhere else.
func (c commonNames) Check(r *http.Request) *Refusal {
	const status = http.StatusForbidden
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return &Refusal{Status: status, Reason: "no verified client certificate (is there --verify-client?)"}
	}
	name := r.TLS.PeerCertificates[0].Subject.CommonName
	if name == "" || !slices.Contains(c, name) {
		return &Refusal{Status: status, Reason: fmt.Sprintf("client certificate is %q", name)}
	}
	return nil
}
