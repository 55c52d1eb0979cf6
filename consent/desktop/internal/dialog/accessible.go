package dialog

import (
	"image"
	"strings"
	"time"

	"github.com/BurntSushi/xgb/xproto"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/desktop/internal/accessible"
	"vda.internal/shadow/internal/host/xconn"
)

// What screen readers find of the windows. An action that comes over their bus is a message of any program
// of the session, as SendEvent is, which the windows don't hear, and WM_DELETE_WINDOW, which they do. So it
// counts where it takes the viewer's sight away (No, Stop, Pause), and never where it gives some (Yes,
// Resume): these are for the keyboard and the mouse, which the X server vouches for.

// The parts that can be pressed.
const (
	denyPart   = "no"
	allowPart  = "yes"
	stopPart   = "stop"
	pausePart  = "pause"
	resumePart = "resume"
)

// AccessibilityBus is the address of the accessibility bus that the root window names, for sessions without a
// bus of their own; empty: it names none.
func AccessibilityBus(x *xconn.Conn) string {
	const name = "AT_SPI_BUS"
	setup := xproto.Setup(x.Conn)
	atom, err := xproto.InternAtom(x.Conn, true, uint16(len(name)), name).Reply()
	if err != nil || atom.Atom == 0 || x.DefaultScreen >= len(setup.Roots) {
		return ""
	}
	r, err := xproto.GetProperty(x.Conn, false, setup.Roots[x.DefaultScreen].Root, atom.Atom, xproto.AtomString, 0, 256).Reply()
	if err != nil || r.Format != 8 {
		return ""
	}
	return strings.TrimRight(string(r.Value), "\x00")
}

// read shows the question to screen readers, as it is now.
func (d *prompt) read(s state) {
	if q := d.view.question; q.Reader != nil && d.controls.drawn {
		q.Reader.Show(d.tree(s))
	}
}

// tree is the question as screen readers find it.
func (d *prompt) tree(s state) accessible.Tree {
	q := d.view.question
	described := []consent.Sentence{q.Doubt, q.Purpose, q.Sees, q.Cannot, q.Locks, q.Basis, q.Replaces, q.Watcher, q.Countdown}
	window := accessible.Node{
		Role: accessible.Dialog, Name: q.Head.Text(0), Description: plain(described, q.Left), States: accessible.Modal,
		Bounds: image.Rectangle{Max: d.view.img.Rect.Size()}.Add(d.at),
	}
	if d.focused {
		window.States |= accessible.Active
	}
	t := accessible.Tree{Locale: q.Language, Window: window}
	text := image.Rect(0, 0, d.view.img.Rect.Dx(), d.view.bar.Min.Y).Add(d.at)
	t.Parts = labels([]string{"head", "doubt", "purpose", "sees", "cannot", "locks", "basis", "replaces", "watcher"},
		[]consent.Sentence{q.Head, q.Doubt, q.Purpose, q.Sees, q.Cannot, q.Locks, q.Basis, q.Replaces, q.Watcher}, text)
	t.Parts = append(t.Parts, accessible.Node{ID: "countdown", Role: accessible.Label, Name: q.Countdown.Text(max(0, s.left)), Bounds: d.view.note.Add(d.at)})
	no := d.button(denyPart, q.No, denyButton, d.view.deny, s)
	no.States |= accessible.IsDefault
	no.Press = true
	t.Parts = append(t.Parts, no)
	if !d.view.allow.Empty() {
		t.Parts = append(t.Parts, d.button(allowPart, q.Yes, allowButton, d.view.allow, s))
	}
	return t
}

// button is one of the question's as screen readers find it.
func (d *prompt) button(id, word string, b button, at image.Rectangle, s state) accessible.Node {
	n := accessible.Node{ID: id, Role: accessible.Button, Name: word, States: accessible.Focusable, Bounds: at.Add(d.at)}
	if d.focused && s.focus == b {
		n.States |= accessible.Focused
	}
	if s.ready && (!s.barred || b == denyButton) {
		n.States |= accessible.Sensitive
	}
	return n
}

// read shows the banner to screen readers, as it is now.
func (b *banner) read() {
	if b.report.Reader != nil && b.drawn {
		b.report.Reader.Show(b.tree())
	}
}

// tree is the banner as screen readers find it.
func (b *banner) tree() accessible.Tree {
	left := time.Until(b.notice.Until)
	window := accessible.Node{Role: accessible.Notification, Bounds: image.Rectangle{Max: b.size}.Add(b.at)}
	t := accessible.Tree{Locale: b.notice.Language}
	if b.over {
		doubt := b.notice.Doubt
		window.Name, window.Description = b.title, plain([]consent.Sentence{doubt, {{Text: b.why}}}, 0)
		t.Parts = append([]accessible.Node{{ID: "ended", Role: accessible.Label, Name: b.title, Bounds: window.Bounds}},
			labels([]string{"doubt", "why"}, []consent.Sentence{doubt, {{Text: b.why}}}, window.Bounds)...)
	} else {
		n := b.notice
		window.Name, window.Description = n.Viewing.Text(left), plain([]consent.Sentence{n.Doubt, n.Purpose, n.Basis}, left)
		t.Parts = labels([]string{"doubt", "purpose", "basis"}, []consent.Sentence{n.Doubt, n.Purpose, n.Basis}, window.Bounds)
		t.Parts = append([]accessible.Node{{ID: "viewing", Role: accessible.Label, Name: window.Name, Bounds: window.Bounds}}, t.Parts...)
		button := accessible.Node{Role: accessible.Button, States: accessible.Sensitive}
		if n.Toggle != "" {
			button.ID, button.Name, button.Press, button.Bounds = pausePart, n.Toggle, true, b.view.pause.Add(b.at)
			if n.Paused {
				button.ID, button.Press = resumePart, false
			}
			t.Parts = append(t.Parts, button)
		}
		button.ID, button.Name, button.Press, button.Bounds = stopPart, n.Stop, true, b.view.stop.Add(b.at)
		t.Parts = append(t.Parts, button)
	}
	t.Window = window
	return t
}

// pressed does what a screen reader's user wants.
func (b *banner) pressed(part string) {
	switch {
	case part == stopPart:
		b.stop()
	case part == pausePart && b.notice.Toggle != "" && !b.notice.Paused:
		b.toggle()
	}
}

// labels are the sentences that there are, by their names.
func labels(names []string, sentences []consent.Sentence, at image.Rectangle) []accessible.Node {
	var all []accessible.Node
	for i, s := range sentences {
		if len(s) > 0 {
			all = append(all, accessible.Node{ID: names[i], Role: accessible.Label, Name: s.Text(0), Bounds: at})
		}
	}
	return all
}

// plain is sentences in one text.
func plain(sentences []consent.Sentence, left time.Duration) string {
	var all []string
	for _, s := range sentences {
		if len(s) > 0 {
			all = append(all, s.Text(left))
		}
	}
	return strings.Join(all, " ")
}
