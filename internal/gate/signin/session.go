package signin

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"time"

	"vda.internal/shadow/internal/gate/access"
)

// The ways to sign in.
const (
	ByPassword = "password"
	ByHeader   = "header"
	ByOIDC     = "oidc"
	ByToken    = "token"
)

// A Session is somebody who is signed in.
type Session struct {
	ID       string    `json:"id"` // made anew at every sign-in; views and sign-outs hang on it
	Name     string    `json:"n"`
	FullName string    `json:"f,omitempty"`
	Groups   []string  `json:"g,omitempty"`
	Method   string    `json:"m"` // "password", "header", "oidc" or "token"
	Since    time.Time `json:"s"`
	Expires  time.Time `json:"x"` // whatever happens

	Seen    time.Time `json:"u"`           // last use, not to the second
	Address string    `json:"a,omitempty"` // that the cookie is bound to; empty: none
	Mark    string    `json:"k,omitempty"` // of the account's password, see Account.mark

	begun bool // by this very request: no cookie of it was ever sent back
}

// Person is who it is, for the access table.
func (s *Session) Person() access.Person { return access.Person{Name: s.Name, Groups: s.Groups} }

// Owner is who it is, for what a person may have of something in all signed-in sessions together.
func (s *Session) Owner() string { return s.Method + "\x00" + s.Name }

// Begun reports whether the request that it was made for has begun it, by a header: there was no cookie.
func (s *Session) Begun() bool { return s.begun }

// newID is an unguessable name for a session.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

const (
	purposeSession = "session 1"
	maxCookie      = 3800  // bytes of a cookie's value: browsers take 4,096 with its name and attributes
	maxPlain       = 32768 // bytes of a session before it is packed
)

// errTooBig is that a session can't be carried by a cookie.
var errTooBig = errors.New("too many groups, or too long ones, for a cookie: let the provider or the proxy name only those that matter here")

// seal makes a cookie's value.
func (s *Session) seal(sealer *Sealer) (string, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return "", err
	}
	_, _ = w.Write(plain) // to memory
	_ = w.Close()
	value := sealer.Seal(purposeSession, packed.Bytes())
	if len(value) > maxCookie || len(plain) > maxPlain {
		return "", errTooBig
	}
	return value, nil
}

// openSession reads a cookie's value.
func openSession(sealer *Sealer, value string) (*Session, error) {
	packed, err := sealer.Open(purposeSession, value)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxPlain))
	if err != nil {
		return nil, ErrForged
	}
	s := new(Session)
	if err := json.Unmarshal(plain, s); err != nil || s.ID == "" || s.Name == "" {
		return nil, ErrForged
	}
	return s, nil
}
