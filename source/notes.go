package source

import (
	"bytes"
	"strings"
	"sync"
	"unicode"

	"vda.internal/shadow"
	"vda.internal/shadow/source/internal/self"
)

const (
	maxNote  = 300 // bytes
	maxNotes = 16  // that nobody has taken yet; more are left out
)

// notes are the lines that a capture prints. The process is trusted with nothing: what it says is
// cut, cleaned, and left out if it says too much.
type notes struct {
	lines chan shadow.Note

	mu   sync.Mutex
	line []byte // that isn't complete
}

func newNotes() *notes { return &notes{lines: make(chan shadow.Note, maxNotes)} }

// Write implements io.Writer; it never fails, and never waits.
func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, more, whole := bytes.Cut(rest, []byte("\n"))
		n.line = append(n.line, line[:min(len(line), maxNote-len(n.line))]...)
		if rest = more; whole {
			n.tell(string(n.line))
			n.line = n.line[:0]
		}
	}
	return len(p), nil
}

// tell has a line taken, if there is room. What isn't of the capture's own form, as the Go runtime's last words,
// isn't a note.
func (n *notes) tell(line string) {
	text, ok := strings.CutPrefix(line, captureSays)
	if !ok {
		return
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	note := shadow.Note{Text: text, Changed: strings.HasPrefix(text, self.Changed)}
	select {
	case n.lines <- note:
		return
	default:
	}
	if note.Changed { // which is more important than what was said first
		select {
		case <-n.lines:
		default:
		}
		select {
		case n.lines <- note:
		default:
		}
	}
}
