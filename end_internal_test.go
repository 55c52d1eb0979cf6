package shadow

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/wsproxy"
)

// What ends a viewing, with what its viewer is told and what the audit says.
func TestViewingEnd(t *testing.T) {
	late := fmt.Errorf("write: %w", os.ErrDeadlineExceeded)
	by := func(viewer bool, code int, reason string) *wsproxy.End {
		return &wsproxy.End{Code: code, Reason: reason, ByViewer: viewer}
	}
	for _, c := range []struct {
		name   string
		err    error
		closed *wsproxy.End
		reason Reason
		detail string
		code   int
	}{
		{"the relay is done", nil, nil, ViewerLeft, "", 1000},
		{"viewer closes", &rfb.ConnError{Direction: rfb.FromViewer, Err: io.EOF}, by(true, 1000, ""), ViewerLeft, "viewer's connection: EOF", 1000},
		{"viewer closes, and says that it was refused", nil, by(true, 1008, "no"), ViewerLeft, "", 1000},
		{"viewer takes nothing of the relay's", &rfb.ConnError{Direction: rfb.FromViewer, Err: late}, nil, ViewerLeft, "stalled: it took no data", 4008},
		{"viewer takes nothing", errors.New("stalled"), by(false, 4008, "no data taken for 15s"), ViewerLeft, "stalled: it took no data", 1000},
		{"viewer says nothing", &rfb.ProtocolError{Direction: rfb.FromViewer, Err: late}, nil, ViewerLeft, "stalled: viewer: byte 0: write: i/o timeout", 4008},
		{"viewer breaks RFB", &rfb.ProtocolError{Direction: rfb.FromViewer, Err: rfb.ErrForbidden}, nil, ViewerViolation, "viewer: byte 0: forbidden by the policy", 1008},
		{"viewer sends text", errors.New("text"), by(false, 1003, "Unsupported"), ViewerViolation, "Unsupported", 1008},
		{"viewer goes while it is dialled", nil, by(true, 1006, ""), ViewerLeft, "", 1000},
		{"source breaks RFB", &rfb.ProtocolError{Direction: rfb.FromServer, Err: io.EOF}, by(true, 1000, ""), SourceFailed, "server: byte 0: EOF", 1011},
		{"source is gone", &rfb.ConnError{Direction: rfb.FromServer, Err: io.EOF}, nil, SourceFailed, "server's connection: EOF", 1011},
		{"source says that it has ended", errSourceEnded, nil, SourceFailed, "the source ended", 1011},
		{"relay panics", &rfb.PanicError{Value: "oh"}, nil, SourceFailed, "internal error: oh", 1011},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := (&life{m: &Manager{}}).viewingEnd(c.err, c.closed)
			assert.Equal(t, c.reason, e.Reason)
			assert.Equal(t, c.detail, e.Detail)
			assert.Equal(t, &wsproxy.CloseError{Code: c.code, Reason: string(c.reason)}, e.closing())
		})
	}
}
