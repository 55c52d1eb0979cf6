package rfb

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// growing are the messages that grow with a list or a text.
var growing = []struct {
	from    Direction
	message func(n int) Message
}{
	{FromViewer, func(n int) Message { return &SetEncodings{make([]Encoding, n)} }},
	{FromViewer, func(n int) Message { return &CutText{From: FromViewer, Text: make([]byte, n)} }},
	{FromViewer, func(n int) Message { return &Fence{Payload: make([]byte, n)} }},
	{FromViewer, func(n int) Message { return &SetDesktopSize{Screens: make([]Screen, n)} }},
	{FromServer, func(n int) Message { return &SetColorMapEntries{Colors: make([]Color, n)} }},
	{FromServer, func(n int) Message { return &CutText{From: FromServer, Text: make([]byte, n)} }},
}

// layoutOf is what docs/rfb.md says of a message's length.
func layoutOf(from Direction, b []byte) string {
	if from == FromViewer {
		return clientMessages[b[0]].layout
	}
	return serverMessages[b[0]].layout
}

// Messages are as long as docs/rfb.md says.
func TestLengthsOfMessages(t *testing.T) {
	formula := regexp.MustCompile(`^(\d+) \+ (?:(\d+)·)?n`)
	for _, tt := range growing {
		for _, n := range []int{0, 1, 2, 7} {
			b := wire(t, tt.message(n))
			terms := formula.FindStringSubmatch(layoutOf(tt.from, b))
			require.NotNil(t, terms, "%T", tt.message(n))
			head, err := strconv.Atoi(terms[1])
			require.NoError(t, err)
			each, err := strconv.Atoi("0" + terms[2])
			require.NoError(t, err)
			assert.Len(t, b, head+max(1, each)*n, "%T of %d", tt.message(n), n)
		}
	}
	for _, tt := range typed { // and those of one length
		b := wire(t, tt.message)
		if n, err := strconv.Atoi(layoutOf(tt.from, b)); err == nil {
			require.Len(t, b, n, "%T", tt.message)
		}
	}
}
