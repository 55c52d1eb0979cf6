package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/parts"
	"vda.internal/shadow/source"
)

// shown sees whether a session's display can be shown, as shadowd does before it asks the user.
func (d *Doctor) shown(ctx context.Context, name string, s *shadow.Session) {
	from, err := parts.Source(d.cfg)
	if err != nil {
		return // picture has said so
	}
	switch from := from.(type) {
	case *source.X11:
		if display, err := from.Look(ctx, s); err != nil {
			d.unfit(name, err)
		} else {
			d.display(name, display)
		}
	case *source.Auto:
		d.either(ctx, name, s, from)
	case *source.X11vnc:
		if err := from.Check(ctx, s); err != nil && !d.bad["picture"] {
			d.unfit(name, err)
		}
	}
}

// either looks at what shadowd can show by itself, and then at x11vnc.
func (d *Doctor) either(ctx context.Context, name string, s *shadow.Session, from *source.Auto) {
	display, why := from.X11.Look(ctx, s)
	if why == nil {
		d.display(name, display)
		return
	}
	if _, refused := errors.AsType[*shadow.End](why); refused || ctx.Err() != nil {
		d.unfit(name, why) // x11vnc could no more
		return
	}
	if err := from.X11vnc.Check(ctx, s); err != nil {
		d.unfit(name, fmt.Errorf("%w; and in its place: %w", why, err))
		return
	}
	d.note(name, "x11vnc shows it, for shadowd itself can't: "+words(why), "nothing must be done if x11vnc's picture is good enough")
}

// display tells what there is to be shown, and what the X server lacks.
func (d *Doctor) display(name string, display *source.Display) {
	found := fmt.Sprintf("the picture can be shown, %dx%d pixels", display.Width, display.Height)
	if n := len(display.Monitors); n > 1 {
		list := make([]string, n)
		for i, m := range display.Monitors {
			list[i] = fmt.Sprintf("%d (%s, %dx%d)", i+1, oneLine(m.Name), m.Width, m.Height)
		}
		found += "; monitors " + strings.Join(list, ", ")
	}
	d.ok(name, found)
	for _, lack := range display.Lacks {
		d.note(name, oneLine(lack), "nothing must be done: what is shown is right all the same; another X server, or its configuration, may have it")
	}
}

// unfit tells why a display can't be shown.
func (d *Doctor) unfit(name string, err error) {
	remedy := "give the session a screen of TrueColor pixels, of depth 24 for example, or install x11vnc"
	if d.cfg.Source.Kind == "x11" {
		remedy += ` and set source.kind = "auto"`
	}
	found := words(err)
	if refusal, ok := errors.AsType[*shadow.End](err); ok {
		found, remedy = oneLine(refusal.Detail), sessionRemedy(refusal.Reason)
	}
	d.broken(name, "the picture can't be shown: "+found, remedy)
}
