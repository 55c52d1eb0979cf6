package rfb

import (
	"fmt"
	"io"
	"strings"
)

// WriteTable writes docs/rfb.md: every version, security type, message and
// encoding that this package knows, with what [ViewOnly] and [Control] do to
// it. It is made from what the relay itself reads, so that it can't lie.
func WriteTable(w io.Writer) error {
	var b strings.Builder
	b.WriteString(tableHead)
	b.WriteString("\n## Versions\n\n| announced | answered in | who |\n|---|---|---|\n")
	for _, v := range versions {
		answer := "refused"
		if v.framing != (ProtocolVersion{}) {
			answer = v.framing.String()
		}
		announced := v.first.String()
		if v.last != v.first {
			announced += " to " + v.last.String() + ", the others"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", announced, answer, v.who)
	}
	b.WriteString("\n## Security types\n\n| no | name | stream after it | who | as client | as server |\n|---|---|---|---|---|---|\n")
	for _, t := range securityTypes {
		client, server := "refused", "not offered"
		switch t.number {
		case SecurityNone, SecurityVNCAuth:
			client, server = "spoken", "spoken"
		case SecurityVeNCrypt:
			client = "spoken: None, VNC Authentication, Plain"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", uint8(t.number), t.name, t.stream, t.origin, client, server)
	}
	b.WriteString("\n## Messages of a viewer\n\n" + messageHead)
	for i, m := range clientMessages {
		writeMessage(&b, i, m)
	}
	b.WriteString("\nEvery other number ends the session.\n\n## Messages of a server\n\n" + messageHead)
	for i, m := range serverMessages {
		writeMessage(&b, i, m)
	}
	b.WriteString("\nEvery other number ends the session.\n\n## Encodings\n\nWhat a viewer lists that isn't asked for is left out; a rectangle that nobody asked for ends the session.\n\n")
	b.WriteString("| no | name | body of a rectangle | ViewOnly | Control | who |\n|---|---|---|---|---|---|\n")
	for _, e := range encodings {
		view, control := "left out", "left out"
		switch e.asks {
		case viewAsks:
			view, control = "asked for", "asked for"
		case controlAsks:
			control = "asked for"
		case fencesAsk:
			view, control = "asked for with its twin", "asked for with its twin"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", e.number, e.name, e.layout, view, control, e.origin)
	}
	b.WriteString("\nHints, which have no rectangles, are asked for: " +
		"-32 to -23 (quality), -256 to -247 (compression), -512 to -412 (fine quality), -768 to -763 (subsampling).\n")
	_, err := io.WriteString(w, b.String())
	return err
}

const tableHead = `# What the relay does with RFB

Made by ` + "`go test ./rfb -update`" + ` from the tables that package rfb works with; a test fails when it is stale. n is
a length in the message, w and h are a rectangle's sides, B the bytes of a pixel, T those of one in Tight, C those of
one in TRLE.
`

const messageHead = "| no | name | bytes | ViewOnly | Control | who |\n|---|---|---|---|---|---|\n"

func writeMessage(b *strings.Builder, number int, m message) {
	if m.name == "" {
		return
	}
	layout := m.layout
	if layout == "" {
		layout = "unpublished"
	}
	fmt.Fprintf(b, "| %d | %s | %s | %v | %v | %s |\n", number, m.name, layout, m.view, m.control, m.origin)
}

// String is what the verdict means, for people.
func (v verdict) String() string {
	return [...]string{"ends the session: malformed", "ends the session: forbidden", "dropped", "passes", "passes once agreed"}[v]
}

// String is what it means, for people.
func (c clarity) String() string { return [...]string{"unknown", "clear", "encrypted"}[c] }
