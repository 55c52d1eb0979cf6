package optparse

import (
	"fmt"
	"io"
	"strings"
)

// The columns of the help, optparse's on a terminal of 80.
const (
	helpColumn = 24
	helpWidth  = 78
)

// WriteHelp writes the usage and what each option does, in the order of
// Options. A line of its own goes before the options of each Since for which
// headings has one.
func (p *Parser) WriteHelp(w io.Writer, headings map[int]string) error {
	var b strings.Builder
	b.WriteString(p.Usage)
	b.WriteString("\nOptions:\n")
	since := 0
	for _, o := range p.all() {
		if o.Since != since {
			since = o.Since
			if h := headings[since]; h != "" {
				fmt.Fprintf(&b, "\n  %s:\n", h)
			}
		}
		o.writeHelp(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (o *Option) writeHelp(b *strings.Builder) {
	names := "--" + o.Long
	if o.Arg != "" {
		names += "=" + o.Arg
	}
	if o.Short != 0 {
		names = "-" + string(rune(o.Short)) + ", " + names
	}
	b.WriteString("  " + names)
	column := helpWidth // too long a name has a line to itself
	if len(names) <= helpColumn-4 {
		fmt.Fprintf(b, "%*s", helpColumn-2-len(names), "")
		column = helpColumn
	}
	for _, word := range strings.Fields(o.Help) {
		switch {
		case column > helpColumn && column+1+len(word) > helpWidth:
			fmt.Fprintf(b, "\n%*s", helpColumn, "")
			column = helpColumn
		case column > helpColumn:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
}
