package main

import (
	"context"
	"errors"
	"fmt"
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
	var wait bool
	cmd := &cobra.Command{
		Use:   "shadow SESSION --admin NAME",
		Short: "ask a session's user, and print the URL for the viewer",
		Long: `shadow asks the user of a session whether the administrator may watch it, waits
for the answer, and prints the URL that a viewer such as noVNC connects to. The
URL is good for one connection, for half a minute. Ctrl-C takes the question back.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return errors.New("the session is missing; 'shadowctl sessions' lists them")
			case len(args) > 1:
				return fmt.Errorf("one session, please: %q is too much", strings.Join(args[1:], " "))
			case strings.TrimSpace(r.Admin) == "":
				return errors.New("--admin NAME is missing: the user is told who asks")
			}
			return nil
		},
		RunE: a.does(func(ctx context.Context, args []string) error {
			r.Session = args[0]
			return a.shadow(ctx, r, wait)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Admin, "admin", "", "`name` of the administrator, shown to the user")
	flags.StringVar(&r.Client, "client", "", "`address` the administrator comes from, for the audit")
	flags.StringVar(&r.Purpose, "purpose", "", "why, in your own words, shown to the user: `text` such as \"INC-1234 screen flickers\"")
	flags.BoolVar(&wait, "wait-viewer", false, "return only when the viewer has connected")
	return cmd
}

func (a *app) shadow(ctx context.Context, r api.Request, wait bool) error {
	var events *api.EventStream
	if wait {
		// From before the request, so that nothing about it can be missed.
		var err error
		if events, err = a.client.Events(ctx); err != nil {
			return err
		}
		defer events.Close()
	}
	fmt.Fprintf(a.stderr, "Asking for session %s; its user has to say Yes …\n", clean(r.Session))
	grant, err := a.client.Shadow(ctx, r)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(grant)
	} else {
		_, err = fmt.Fprintln(a.stdout, grant.URL)
	}
	if err != nil || !wait {
		return err
	}
	fmt.Fprintln(a.stderr, "The user said Yes. Waiting for the viewer …")
	err = waitViewer(events, grant.ID)
	if ctx.Err() != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		_ = a.client.Stop(stop, grant.ID) // it may have ended by itself
	}
	return err
}

// waitViewer reads events until a viewer has connected to the shadow, or it
// has ended.
func waitViewer(events *api.EventStream, id string) error {
	for {
		e, err := events.Next()
		if err != nil {
			return err
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
		Use:   "stop ID",
		Short: "end a shadow, or take its question back",
		Long:  "stop ends a shadow, whatever state it is in, and returns when it has ended. 'shadowctl list' shows the ids.",
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
