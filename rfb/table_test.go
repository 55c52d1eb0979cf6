package rfb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDocumentationIsWhatTheCodeDoes(t *testing.T) {
	golden(t, "../docs/rfb.md", tables())
}

// What the tables say is consistent: a message that is parsed has a length, a
// name belongs to one number, and an encoding that is asked for can be framed.
func TestTables(t *testing.T) {
	for peer, messages := range map[string]*[256]message{"client": &clientMessages, "server": &serverMessages} {
		names := make(map[string]bool)
		for i, m := range messages {
			if m.name == "" {
				assert.Zero(t, m.head, "%s %d", peer, i)
				assert.Zero(t, m.verdict, "%s %d", peer, i)
				continue
			}
			assert.False(t, names[m.name], "%s %s twice", peer, m.name)
			names[m.name] = true
			assert.NotEmpty(t, m.origin, m.name)
			assert.False(t, m.new != nil && (m.layout == "" || strings.Contains(m.layout, "unpublished")), "%s has a type and no layout", m.name)
			if m.verdict >= dropped {
				assert.NotZero(t, m.head, "%s %s is parsed and needs a length", peer, m.name)
			}
		}
	}
	numbers, names := make(map[Encoding]bool), make(map[string]bool)
	for _, e := range encodings {
		assert.False(t, numbers[e.number] || names[e.name], "%s twice", e.name)
		numbers[e.number], names[e.name] = true, true
		assert.Equal(t, e.name, e.number.String())
		assert.Equal(t, e.new != nil, encodingBit(e.number) != 0)
		if e.asks == viewAsks || e.asks == pointerAsks {
			assert.NotNil(t, e.new, "%s is asked for and must be framed", e.name)
		}
	}
}

// tables are docs/rfb.md: every version, security type, message and encoding
// that this package knows, with what the relay does to it. They are
// made from what the relay itself reads, so that they can't lie.
func tables() string {
	var b strings.Builder
	b.WriteString(tableHead)
	b.WriteString("\n## Versions\n\nWhat a peer announces, and the version that it is answered in: a server by the relay's client half, a viewer by its\nserver half.\n\n" +
		"| announced | from a server | from a viewer | who |\n|---|---|---|---|\n")
	for _, v := range versions {
		announced := v.first.String()
		if v.last != v.first {
			announced += " to " + v.last.String() + ", the others"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", announced, toServer(v.first), toViewer(v.first), v.who)
	}
	b.WriteString("\n## Security types\n\n| no | name | stream after it | who | as client | as server | as onlooker |\n|---|---|---|---|---|---|---|\n")
	for _, t := range securityTypes {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s |\n", uint8(t.number), t.name, t.stream, t.origin, asClient(t.number), asServer(t.number), watches(t.number))
	}
	b.WriteString("\nWhat VeNCrypt, Tight and SASL do to the stream depends on the choice inside them; what encrypts it is refused by name there too.\n" +
		"\nAs client, VeNCrypt's TLSNone, TLSVnc and TLSPlain are TLS with an anonymous key exchange: nobody who only listens reads along,\n" +
		"and nothing proves who the server is, so that whoever is in between can be it. Named an authority (`Client.TLS`), the client takes\n" +
		"X509None, X509Plain or X509Vnc and nothing else. Otherwise it prefers anonymous TLS to clear text, and inside either the type that\n" +
		"gives least away: None, then VNC Authentication, then Plain, which is taken only with a user and a password.\n")
	b.WriteString("\n## Messages of a viewer\n\n" + messageHead)
	for i, m := range clientMessages {
		writeMessage(&b, i, m)
	}
	b.WriteString("\nEvery other number ends the session.\n\n## Messages of a server\n\n" + messageHead)
	for i, m := range serverMessages {
		writeMessage(&b, i, m)
	}
	b.WriteString("\nEvery other number ends the session.\n\n## Encodings\n\nWhat a viewer lists that isn't asked for is left out; a rectangle that nobody asked for ends the session.\n\n")
	b.WriteString("| no | name | body of a rectangle | view-only | who |\n|---|---|---|---|---|\n")
	for _, e := range encodings {
		asks := map[asking]string{never: "left out", viewAsks: "asked for", pointerAsks: "asked for with PointerPos", fencesAsk: "asked for with its twin"}[e.asks]
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", e.number, e.name, e.layout, asks, e.origin)
	}
	b.WriteString("\nHints, which have no rectangles, are asked for: " +
		"-32 to -23 (quality), -256 to -247 (compression), -512 to -412 (fine quality), -768 to -763 (subsampling).\n")
	return b.String()
}

// A hearing is a connection to a peer that says what it says, and keeps what it
// hears.
type hearing struct {
	script
	heard bytes.Buffer
}

func (h *hearing) Write(p []byte) (int, error) { return h.heard.Write(p) }

// says is a peer that says all of this.
func says(b ...[]byte) *hearing { return &hearing{script: script{say: bytes.NewReader(join(b...))}} }

// toServer is what a Client answers to a server's version, toViewer what a Server
// speaks with a viewer.
func toServer(v ProtocolVersion) string {
	h := says(v.message())
	_, _ = Connect(context.Background(), h)
	if answer, err := ParseVersion(h.heard.Bytes()); err == nil {
		return answer.String()
	}
	return "refused"
}

func toViewer(v ProtocolVersion) string {
	h := says(v.message(), []byte{1, 1})
	c, err := (&Server{Init: shown}).Accept(context.Background(), h)
	if err != nil {
		return "refused"
	}
	return c.Version.String()
}

// asClient is what a Client that has a password and a user makes of a server that
// offers one type.
func asClient(t SecurityType) string {
	chosen := func(more ...[]byte) bool {
		c := &Client{Username: "user", Password: "secret"}
		_, err := c.Connect(context.Background(), says(append([][]byte{version38.message(), {1, byte(t)}}, more...)...))
		return !errors.Is(err, ErrSecurity)
	}
	if !chosen() {
		return "refused"
	}
	if t != SecurityVeNCrypt {
		return "spoken"
	}
	var inside []string
	for n := range VeNCryptType(512) {
		if chosen([]byte{0, 2, 0, 1}, u32(uint32(n))) {
			inside = append(inside, n.String())
		}
	}
	return "spoken: " + strings.Join(inside, ", ") + "; with an authority X509None, X509Vnc, X509Plain, and nothing else of any type"
}

// asServer is whether a Server offers a type, with or without a password.
func asServer(t SecurityType) string {
	for _, s := range []Server{{Init: shown}, {Init: shown, Password: "secret"}} {
		h := says(version38.message())
		_, _ = s.Accept(context.Background(), h)
		offer := h.heard.Bytes()[versionLen:]
		if bytes.IndexByte(offer[1:1+offer[0]], byte(t)) >= 0 {
			return "spoken"
		}
	}
	return "not offered"
}

// watches is what a Handshake does with a security type.
func watches(t SecurityType) string {
	var h Handshake
	err := h.Feed(FromServer, []byte("RFB 003.008\n\x01"+string([]byte{byte(t)})))
	if err == nil {
		err = h.Feed(FromViewer, []byte("RFB 003.008\n"+string([]byte{byte(t)})))
	}
	if err != nil {
		return "refused by name"
	}
	return "followed"
}

const tableHead = `# What the relay does with RFB

Made by ` + "`go test ./rfb -update`" + ` from the tables that package rfb works with; a test fails when it is stale. n is
a length in the message, w and h are a rectangle's sides, B the bytes of a pixel, T those of one in Tight, C those of
one in TRLE.
`

const messageHead = "| no | name | bytes | view-only | who |\n|---|---|---|---|---|\n"

func writeMessage(b *strings.Builder, number int, m message) {
	if m.name == "" {
		return
	}
	layout := m.layout
	if layout == "" {
		layout = "unpublished"
	}
	fmt.Fprintf(b, "| %d | %s | %s | %v | %s |\n", number, m.name, layout, m.verdict, m.origin)
}

// String is what it means, for people.
func (v verdict) String() string {
	return [...]string{"ends the session: malformed", "ends the session: forbidden", "dropped", "passes", "passes once agreed"}[v]
}

// String is what it means, for people.
func (c clarity) String() string { return [...]string{"unknown", "clear", "encrypted"}[c] }

// Every number has its place in the tables, the one that is its own negative
// too, whatever the size of an int.
func TestEncodingsAtTheEnds(t *testing.T) {
	var table encodingRules
	ends := []Encoding{0, 1, 63, 64, math.MaxInt32, -1, -768, -769, math.MinInt32 + 1, math.MinInt32}
	for _, e := range ends {
		assert.Zero(t, table.of(e), "%d", e)
	}
	for i, e := range ends {
		table.set(e, encodingRule{nth: uint8(i)})
	}
	for i, e := range ends {
		assert.Equal(t, encodingRule{nth: uint8(i)}, table.of(e))
		assert.NotPanics(t, func() { rules.of(e); _ = e.String() }, "%d", e)
	}
}
