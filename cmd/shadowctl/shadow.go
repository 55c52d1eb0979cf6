package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
)

// stopTime is how long an interrupted shadowctl takes to clean up.
const stopTime = 5 * time.Second

func (a *app) shadowCommand() *cobra.Command {
	var r api.Request
	var wait, open bool
	cmd := &cobra.Command{
		Use:   "shadow SESSION --admin NAME",
		Short: "ask a session's user, and print the URL for the viewer",
		Long: `shadow asks the user of a session whether the administrator may view it, waits
for the answer, and prints the URL for a viewer such as noVNC. The URL works for
one viewer, which must connect within half a minute; a viewer that loses its
connection may return with it, for as long as viewer.reconnect on the host allows.
Ctrl-C withdraws the question.

On a terminal it shows how many seconds the user has left, and then how to open
the view. Otherwise it prints only the URL, or with --json the whole grant.`,
		ValidArgsFunction: a.sessionIDs,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return errors.New("the session is missing; 'shadowctl sessions' lists them")
			case len(args) > 1:
				return fmt.Errorf("one session, please: %q is too much", strings.Join(args[1:], " "))
			case strings.TrimSpace(r.Admin) == "":
				return errors.New("--admin NAME is missing: the user must see who asks")
			}
			return nil
		},
		RunE: a.does(func(ctx context.Context, args []string) error {
			r.Session = args[0]
			return a.shadow(ctx, r, wait, open)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Admin, "admin", "", "`name` of the administrator, shown to the user")
	flags.StringVar(&r.Client, "client", "", "`address` the administrator comes from, for the audit")
	flags.StringVar(&r.Purpose, "purpose", "", "why, in your own words, shown to the user: `text` such as \"INC-1234 screen flickers\"")
	flags.StringArrayVar(&r.Groups, "group", nil, "`group` that the administrator is in, for the organisation's rules; may be given several times")
	flags.StringVar(&r.Monitor, "monitor", "", "show only this `monitor`: its number, the primary one's is 1, or its name (default: all)")
	flags.BoolVar(&open, "open", false, "open the view in your browser, by way of xdg-open")
	flags.BoolVar(&wait, "wait-viewer", false, "return only when the viewer has connected")
	return cmd
}

func (a *app) shadow(ctx context.Context, r api.Request, wait, open bool) error {
	tell := !a.json && isTerminal(a.stderr)
	var events <-chan shadow.Event
	var eventsErr error
	if wait || tell {
		// From before the request, so that nothing about it can be missed.
		following, stop := context.WithCancel(ctx)
		defer stop()
		stream, err := a.client.Events(following)
		switch {
		case err == nil:
			defer stream.Close()
			events = follow(following, stream, &eventsErr)
		case wait:
			return err
		}
	}
	grant, seen, err := a.ask(ctx, r, events, tell)
	if err != nil {
		return err
	}
	switch {
	case a.json:
		err = a.printJSON(grant)
	default:
		if tell {
			var basis string
			basis, seen = basisOf(seen, events, grant.ID)
			howToOpen(a.stderr, basis, grant)
		}
		_, err = fmt.Fprintln(a.stdout, grant.URL)
	}
	if err == nil && open {
		err = openPage(ctx, grant)
	}
	if err != nil || !wait {
		return err
	}
	if tell {
		fmt.Fprintln(a.stderr, "\nWaiting for the viewer …")
	}
	err = waitViewer(seen, events, &eventsErr, grant.ID)
	if ctx.Err() != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		_ = a.client.Stop(stop, grant.ID) // it may have ended by itself
	}
	return err
}

// openTime is how long xdg-open may take to hand an address on.
const openTime = 30 * time.Second

// openPage opens the page of a grant in this user's browser (xdg-open(1)).
func openPage(ctx context.Context, g *api.Grant) error {
	if g.Page == "" {
		return errors.New("there is no page to open: viewer.page is false in the daemon's configuration")
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "xdg-open", g.Page)
	cmd.WaitDelay = time.Second // the browser may keep its output
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("there is no xdg-open: open the address yourself, or install xdg-utils")
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return fmt.Errorf("xdg-open: %w: %.200s", err, strings.ReplaceAll(string(out), g.Token, "…"))
	}
	return nil
}

// waitViewer looks at events, those seen first, until a viewer has connected to
// the shadow, or it has ended.
func waitViewer(seen []shadow.Event, events <-chan shadow.Event, streamErr *error, id string) error {
	for {
		var e shadow.Event
		if len(seen) > 0 {
			e, seen = seen[0], seen[1:]
		} else {
			var ok bool
			if e, ok = <-events; !ok {
				return *streamErr
			}
		}
		switch {
		case e.ID != id:
		case e.Type == shadow.EventConnected:
			return nil
		case e.Type == shadow.EventEnded:
			return &endedError{e.Reason, e.Detail}
		}
	}
}

func (a *app) stopCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "stop ID",
		Short:             "end a shadow, or withdraw its question",
		Long:              "stop ends a shadow, whatever state it is in, and returns when it has ended. 'shadowctl list' shows the ids.",
		ValidArgsFunction: a.shadowIDs,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return errors.New("one shadow's id is needed; 'shadowctl list' shows them")
			}
			return nil
		},
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.client.Stop(ctx, args[0])
		}),
	}
}
