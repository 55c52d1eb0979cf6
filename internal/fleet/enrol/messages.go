package enrol

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nkeys"
)

// Where a gate has what is asked of it here.
const (
	Path   = "/fleet/enrol" // POST: a Request, answered with an Answer
	CAPath = "/fleet/ca"    // GET: the authorities of the gate and its bus, in PEM
)

// A Request asks a gate to take a host into the fleet.
type Request struct {
	Secret string `json:"secret"` // of the invitation
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`   // FQDN; where it leads tells gates whether the host has moved
	Key    string `json:"key"`              // the host's public nkey
	Proof  string `json:"proof"`            // signature with that key
	Before string `json:"before,omitempty"` // signature with the key that the id has had; empty: it has none
}

// An Answer is what the host gets.
type Answer struct {
	JWT     string   `json:"jwt"`
	Fleet   []string `json:"fleet"`
	Servers []string `json:"servers"`
	CA      string   `json:"ca,omitempty"`
}

// signs is what a request's signatures are about.
func (r *Request) signs() []byte {
	return fmt.Appendf(nil, "shadow.v1.enrol\n%q %q %q %q", r.Secret, r.ID, r.Name, r.Key)
}

// Sign sets Proof, and Before if there is a key from before.
func (r *Request) Sign(key, before nkeys.KeyPair) error {
	proof, err := key.Sign(r.signs())
	if err != nil {
		return err
	}
	r.Proof = base64.RawStdEncoding.EncodeToString(proof)
	if before == nil {
		return nil
	}
	if proof, err = before.Sign(r.signs()); err != nil {
		return err
	}
	r.Before = base64.RawStdEncoding.EncodeToString(proof)
	return nil
}

// Proven reports whether whoever sent the request has the key; Succeeds, whether he has another one.
func (r *Request) Proven() bool { return r.by(r.Key, r.Proof) }

// Succeeds reports whether the request is signed with an earlier key, too.
func (r *Request) Succeeds(key string) bool { return r.by(key, r.Before) }

func (r *Request) by(public, signature string) bool {
	key, err := nkeys.FromPublicKey(public)
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return false
	}
	raw, err := base64.RawStdEncoding.DecodeString(signature)
	return err == nil && key.Verify(r.signs(), raw) == nil
}

// A Code is what an administrator takes from the gate to the host.
type Code struct {
	Secret string
	Pin    string // of the authorities that the gate has at CAPath; empty: the system's vouch for it
}

const maxCode = 256 // bytes

// ParseCode reads what [Code.String] has written.
func ParseCode(s string) (Code, error) {
	secret, pin, _ := strings.Cut(strings.TrimSpace(s), ".")
	if secret == "" || len(s) > maxCode || strings.ContainsAny(s, " \t\n") {
		return Code{}, errors.New("that isn't a code of shadowgate invite; take the whole line that it printed")
	}
	return Code{secret, pin}, nil
}

// String is the code as it is typed.
func (c Code) String() string {
	if c.Pin == "" {
		return c.Secret
	}
	return c.Secret + "." + c.Pin
}

// PinOf is the pin of authorities in PEM; empty: there are none.
func PinOf(ca string) string {
	if ca == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(ca))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
