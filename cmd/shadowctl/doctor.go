package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/doctor"
)

// errSick is that a shadow would not work, which the report has told already.
var errSick = errors.New("a shadow would not work")

func (a *app) doctorCommand() *cobra.Command {
	var d doctor.Doctor
	cmd := &cobra.Command{
		Use:   "doctor [SESSION]",
		Short: "check whether viewing would work, and if not why",
		Long: `doctor checks everything that a view needs, from the configuration to the
session's display, and says what it found and what to do about it:

  ✔  fine
  !  worth a look
  ✘  prevents viewing

It changes nothing and asks no user. The last check views a virtual display from
beginning to end, if Xvfb is installed. It can't check the way to this host: the
administrators' DNS and the firewalls in between.

It exits with 0 only if viewing would work, and with 1 if something is marked
with ✘ or a required check could not be made, which is usual for any user but
root ("unseen" with --json). Other lines with ! don't matter, such as a firewall
that admits some networks.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.sessionIDs,
		RunE: a.does(func(ctx context.Context, args []string) error {
			if len(args) == 1 {
				d.Session = args[0]
			}
			if a.socketGiven {
				d.Socket = a.client.Socket
			}
			return a.doctor(ctx, d)
		}),
	}
	cmd.Flags().StringVar(&d.Config, "config", "", "configuration `file` (default "+config.DefaultPath+")")
	return cmd
}

func (a *app) doctor(ctx context.Context, d doctor.Doctor) error {
	if !a.json {
		p := newPrinter(a.stdout)
		d.Found = p.check
	}
	report := d.Examine(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case a.json:
		if err := a.printJSON(report); err != nil {
			return err
		}
	default:
		if err := newPrinter(a.stdout).verdict(report); err != nil {
			return err
		}
	}
	if !report.Works {
		return errSick
	}
	return nil
}

// A printer writes checks for people: wrapped to the terminal's width, and in
// colour where the output is a terminal and NO_COLOR isn't set.
type printer struct {
	w      io.Writer
	width  int // 0: lines are as long as they are
	colour bool
	ascii  bool // no other characters but the host's own are printed
}

// Widths of the printed report, in columns.
const (
	nameWidth = 14
	widest    = 110 // longer lines are hard to read
	narrowest = 50
)

func newPrinter(w io.Writer) *printer {
	p := &printer{w: w, ascii: !localeHasUTF8()}
	f, ok := w.(*os.File)
	if !ok {
		return p
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return p
	}
	p.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if size.Col > 0 {
		p.width = max(min(int(size.Col), widest), narrowest)
	}
	return p
}

// localeHasUTF8 reports whether the user's locale, as of setlocale(3), is for
// UTF-8, or there is none that says otherwise.
func localeHasUTF8() bool {
	locale := cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG"))
	name := strings.ReplaceAll(strings.ToLower(locale), "-", "")
	return name == "" || strings.Contains(name, "utf8")
}

// A mark is a state in one column, its ASCII stand-in, and its colour.
type mark struct{ symbol, ascii, colour string }

var marks = map[doctor.State]mark{
	doctor.OK:   {"✔", "+", "\x1b[32m"},
	doctor.Note: {"!", "!", "\x1b[33m"},
	doctor.Bad:  {"✘", "x", "\x1b[31m"},
}

func (p *printer) mark(s doctor.State) string {
	if p.ascii {
		return marks[s].ascii
	}
	return marks[s].symbol
}

func (p *printer) paint(colour, s string) string {
	if !p.colour {
		return s
	}
	return colour + s + "\x1b[0m"
}

// check prints one check: what was found, and on its own line what to do.
func (p *printer) check(c doctor.Check) {
	name := clean(c.Name)
	if n := nameWidth - utf8.RuneCountInString(name); n > 0 {
		name += strings.Repeat(" ", n)
	}
	indent := strings.Repeat(" ", 2+nameWidth+1)
	fmt.Fprintf(p.w, "%s %s %s\n", p.paint(marks[c.State].colour, p.mark(c.State)), name, p.wrap(indent, clean(c.Found)))
	if c.Remedy == "" {
		return
	}
	arrow := "→ "
	if p.ascii {
		arrow = "> "
	}
	fmt.Fprintf(p.w, "%s%s\n", indent, p.paint("\x1b[1m", arrow)+p.wrap(indent+"  ", clean(c.Remedy)))
}

// wrap breaks a text into lines that fit behind indent.
func (p *printer) wrap(indent, text string) string {
	room := p.width - utf8.RuneCountInString(indent)
	if p.width == 0 || utf8.RuneCountInString(text) <= room {
		return text
	}
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case used == 0:
		case used+1+n > room:
			b.WriteString("\n" + indent)
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}

// verdict prints the last line.
func (p *printer) verdict(r *doctor.Report) error {
	var bad, notes int
	var unseen []string
	for _, c := range r.Checks {
		switch c.State {
		case doctor.Bad:
			bad++
		case doctor.Note:
			notes++
		}
		if c.Unseen && !slices.Contains(unseen, clean(c.Name)) {
			unseen = append(unseen, clean(c.Name))
		}
	}
	line := p.paint("\x1b[1m", "Viewing would work on this host.")
	if len(unseen) > 0 && bad == 0 {
		line = p.paint("\x1b[1m", "Cannot tell whether viewing would work") + "; not checked: " + strings.Join(unseen, ", ") + "."
	} else if bad > 0 {
		line = p.paint("\x1b[1m", "Viewing would not work") + fmt.Sprintf(": what is marked with %s prevents it.", p.mark(doctor.Bad))
	} else if notes > 0 {
		line += fmt.Sprintf(" What is marked with %s deserves a look.", p.mark(doctor.Note))
	}
	_, err := fmt.Fprintf(p.w, "\n%s\n", p.wrap("", line))
	return err
}
