package fleet

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nkeys"
)

// The headers of orders, answers and audit lines.
const (
	GateHeader      = "Shadow-Gate"      // of an order: the gate's JWT
	SignatureHeader = "Shadow-Signature" // by the gate's key, or the host's
	SenderHeader    = "Shadow-Sender"    // of an answer: the public curve key that sealed it
)

// MaxMessage is how many bytes an order or an answer may have. NATS takes 1 MiB.
const MaxMessage = 512 << 10

// MaxLine is how many bytes a line of the audit may have with its headers, of which there are fewer than 1,024. The
// engine's have at most some 24,000.
const MaxLine = 32 << 10

// What is signed begins with what it is, so that a signature is good for nothing else.
const (
	signsOrder    = "shadow.v1.order"
	signsAnswer   = "shadow.v1.answer"
	signsPresence = "shadow.v1.presence"
	signsEvent    = "shadow.v1.event"
	signsView     = "shadow.v1.view"
)

// sign signs parts in a way that no other parts have the same signature.
func sign(key nkeys.KeyPair, what string, parts ...string) (string, error) {
	signature, err := key.Sign(signed(what, parts))
	if err != nil {
		return "", err
	}
	return base64.RawStdEncoding.EncodeToString(signature), nil
}

func signed(what string, parts []string) []byte {
	var b strings.Builder
	b.WriteString(what)
	for _, p := range parts {
		fmt.Fprintf(&b, "\n%d:%s", len(p), p)
	}
	return []byte(b.String())
}

// verify checks what sign has made.
func verify(public, signature, what string, parts ...string) error {
	key, err := nkeys.FromPublicKey(public)
	if err != nil {
		return err
	}
	raw, err := base64.RawStdEncoding.DecodeString(signature)
	if err != nil {
		return errors.New("the signature isn't one")
	}
	if err := key.Verify(signed(what, parts), raw); err != nil {
		return fmt.Errorf("the signature is wrong: %w", err)
	}
	return nil
}

// A Signer is a gate that signs its orders.
type Signer struct {
	Name string        // of the gate
	Key  nkeys.KeyPair // a user's
	JWT  string        // by which the fleet's key vouches for Name and Key
}

// A Sent is an order on its way, and what is needed to read its answer.
type Sent struct {
	Order   Order
	Subject string
	Data    []byte
	Header  map[string][]string

	curve nkeys.KeyPair
}

// Sign signs an order, whose ID and Reply it sets.
func (s *Signer) Sign(o Order) (*Sent, error) {
	curve, err := nkeys.CreateCurveKeys()
	if err != nil {
		return nil, err
	}
	if o.Reply, err = curve.PublicKey(); err != nil {
		return nil, err
	}
	o.ID = rand.Text()
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	subject := Subject(o.Host, o.Kind)
	signature, err := sign(s.Key, signsOrder, subject, string(data))
	if err != nil {
		return nil, err
	}
	return &Sent{
		Order: o, Subject: subject, Data: data, curve: curve,
		Header: map[string][]string{GateHeader: {s.JWT}, SignatureHeader: {signature}},
	}, nil
}

// Open reads an order's answer, which has to come from the host whose public key is given.
func (s *Sent) Open(host string, header func(string) string, data []byte) (*Answer, error) {
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("an answer of %d bytes", len(data))
	}
	if err := verify(host, header(SignatureHeader), signsAnswer, s.Order.ID, header(SenderHeader), string(data)); err != nil {
		return nil, fmt.Errorf("the answer isn't the host's: %w", err)
	}
	plain, err := s.curve.Open(data, header(SenderHeader))
	if err != nil {
		return nil, fmt.Errorf("the answer isn't for us: %w", err)
	}
	var a Answer
	if err := json.Unmarshal(plain, &a); err != nil {
		return nil, fmt.Errorf("the answer can't be read: %w", err)
	}
	return &a, nil
}

// Seal is a host's answer to an order: only the gate that has sent the order can read it.
func Seal(key nkeys.KeyPair, o Order, a Answer) (header map[string][]string, data []byte, err error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return nil, nil, err
	}
	if len(plain) > MaxMessage-256 {
		return nil, nil, fmt.Errorf("the answer has %d bytes, too many for the bus", len(plain))
	}
	curve, err := nkeys.CreateCurveKeys()
	if err != nil {
		return nil, nil, err
	}
	sender, err := curve.PublicKey()
	if err != nil {
		return nil, nil, err
	}
	if data, err = curve.Seal(plain, o.Reply); err != nil {
		return nil, nil, err
	}
	signature, err := sign(key, signsAnswer, o.ID, sender, string(data))
	if err != nil {
		return nil, nil, err
	}
	return map[string][]string{SenderHeader: {sender}, SignatureHeader: {signature}}, data, nil
}

// SignPresence is a host's presence as it stands in the bucket.
func SignPresence(key nkeys.KeyPair, p *Presence) ([]byte, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	signature, err := sign(key, signsPresence, p.ID, string(data))
	if err != nil {
		return nil, err
	}
	return append([]byte(signature+"\n"), data...), nil
}

// OpenPresence reads what [SignPresence] has made with the key of the host id.
func OpenPresence(id, public string, value []byte) (*Presence, error) {
	signature, data, ok := strings.Cut(string(value), "\n")
	if !ok {
		return nil, errors.New("a presence without a signature")
	}
	if err := verify(public, signature, signsPresence, id, data); err != nil {
		return nil, err
	}
	var p Presence
	if err := json.Unmarshal([]byte(data), &p); err != nil {
		return nil, fmt.Errorf("a presence can't be read: %w", err)
	}
	if p.ID != id {
		return nil, fmt.Errorf("a presence of %.80q under the name of %s", p.ID, id)
	}
	for _, text := range []*string{&p.Failed, &p.Version, &p.Address} { // which go into logs, and to every page
		*text = shortened(*text)
	}
	return &p, nil
}

// maxWords is how many bytes of what a host says in words are kept.
const maxWords = 300

func shortened(s string) string {
	if len(s) <= maxWords {
		return s
	}
	return strings.ToValidUTF8(s[:maxWords], "") + "…"
}

// OpenEnrolled reads the record of the host id, for which the fleet's key has to vouch.
func OpenEnrolled(id, fleet string, value []byte) (*Enrolled, error) {
	var e Enrolled
	if err := json.Unmarshal(value, &e); err != nil {
		return nil, fmt.Errorf("it can't be read: %w", err)
	}
	name, key, _, err := Vouched(e.JWT, HostTag, []string{fleet})
	if err != nil {
		return nil, err
	}
	if e.ID != id || name != id || key != e.Key {
		return nil, fmt.Errorf("the fleet's key vouches for %.80q, not for this", name)
	}
	return &e, nil
}

// SignEvent signs a line of the audit of the host id. event is the line's own id.
func SignEvent(key nkeys.KeyPair, id, event string, data []byte) (string, error) {
	return sign(key, signsEvent, id, event, string(data))
}

// VerifyEvent checks what [SignEvent] has made.
func VerifyEvent(public, signature, id, event string, data []byte) error {
	return verify(public, signature, signsEvent, id, event, string(data))
}

// SignView is a host's proof that it is the one that dials a gate with a ticket, which others on the bus
// have seen. gate is the address that the gate gave.
func SignView(key nkeys.KeyPair, id, gate, ticket string) (string, error) {
	return sign(key, signsView, id, gate, ticket)
}

// VerifyView checks what [SignView] has made.
func VerifyView(public, signature, id, gate, ticket string) error {
	return verify(public, signature, signsView, id, gate, ticket)
}
