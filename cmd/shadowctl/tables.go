package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
)

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the shadows in progress",
		Long:  "list shows all shadows that have not ended, including those whose user is being asked.",
		Args:  cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			list, err := a.client.List(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"shadows": list})
			}
			if len(list) == 0 {
				_, err := fmt.Fprintln(a.stdout, "No session is being shadowed.")
				return err
			}
			rows := make([][]string, len(list))
			for i, s := range list {
				rows[i] = []string{s.ID, s.Session, s.User, s.Admin, state(s), since(s.Since), port(s.Port), s.Viewer, s.Purpose}
			}
			return table(a.stdout, []string{"ID", "SESSION", "USER", "ADMIN", "STATE", "SINCE", "PORT", "VIEWER", "PURPOSE"}, rows)
		}),
	}
}

func (a *app) sessionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sessions",
		Short: "list the host's sessions, and whether each can be shown",
		Args:  cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			list, err := a.client.Sessions(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"sessions": list})
			}
			if len(list) == 0 {
				_, err := fmt.Fprintln(a.stdout, "There are no sessions on this host.")
				return err
			}
			rows := make([][]string, len(list))
			for i, s := range list {
				rows[i] = []string{s.ID, s.User, s.Display, s.Type, s.State, shadowable(s)}
			}
			return table(a.stdout, []string{"SESSION", "USER", "DISPLAY", "TYPE", "STATE", "CAN BE SHADOWED"}, rows)
		}),
	}
}

// monitors are those of a session with several, as --monitor takes them.
func monitors(s api.Session) string {
	names := make([]string, len(s.Monitors))
	for i, m := range s.Monitors {
		names[i] = fmt.Sprintf("%d %s %dx%d", i+1, m.Name, m.Width, m.Height)
	}
	return strings.Join(names, ", ")
}

func shadowable(s api.Session) string {
	switch {
	case s.Shadowable && len(s.Monitors) > 1:
		return "yes; monitors: " + monitors(s)
	case s.Shadowable:
		return "yes"
	}
	why := fmt.Sprintf("no (%s): %s", s.Reason, s.Reason.Sentence())
	if s.Detail != "" {
		why += ": " + s.Detail
	}
	return why
}

func (a *app) eventsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "events",
		Short: "print events as they happen",
		Long:  "events prints the audit's lines from now on, until Ctrl-C.",
		Args:  cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			events, err := a.client.Events(ctx)
			if err != nil {
				return err
			}
			defer events.Close()
			for {
				e, err := events.Next()
				if ctx.Err() != nil {
					return nil // Ctrl-C is how this ends
				}
				if err != nil {
					return err
				}
				if a.json {
					err = a.printJSON(e)
				} else {
					_, err = fmt.Fprintln(a.stdout, eventLine(e))
				}
				if err != nil {
					return err
				}
			}
		}),
	}
}

// eventLine is an event for people.
func eventLine(e shadow.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-9s  %s  session %s  admin %s", e.Time.Local().Format(time.DateTime), e.Type, e.ID, e.Session, e.Admin)
	for _, part := range []struct{ name, value string }{
		{"identity", unless(e.Identity, e.Admin)}, {"user", e.User}, {"client", e.Client}, {"purpose", quoted(e.Purpose)},
		{"rule", unless(e.Rule, "none")}, {"consent", unless(e.Consent, "answer")}, {"port", port(e.Port)}, {"viewer", e.Viewer},
	} {
		if part.value != "" {
			fmt.Fprintf(&b, "  %s %s", part.name, part.value)
		}
	}
	if e.Type == shadow.EventEnded && e.Viewer != "" {
		seconds := time.Duration(e.Duration * float64(time.Second)).Round(100 * time.Millisecond)
		fmt.Fprintf(&b, "  viewed %s  sent %d bytes", seconds, e.Sent)
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, "  %s: %s", e.Reason, e.Reason.Sentence())
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", e.Detail)
	}
	return clean(b.String())
}

// unless is s, or empty if it is what goes without saying.
func unless(s, usual string) string {
	if s == usual {
		return ""
	}
	return s
}

// state is a shadow's, with whether the user hides the screen.
func state(s api.Status) string {
	if s.Paused {
		return string(s.State) + ", paused"
	}
	return string(s.State)
}

// quoted is somebody's own words, if there are any.
func quoted(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

// table prints rows under a header, aligned. An empty cell is a dash.
func table(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, row := range rows {
		for i, cell := range row {
			if row[i] = clean(cell); cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// since is how long ago t was.
func since(t time.Time) string {
	return max(time.Since(t), 0).Round(time.Second).String()
}

func port(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// clean keeps names from outside from doing things to the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
