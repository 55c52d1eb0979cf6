package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// completeTime is how long a shell waits for ids: whoever presses Tab waits for it.
const completeTime = 2 * time.Second

// sessionIDs completes the one argument of a command that takes a session: those that can be
// shadowed, each with its user.
func (a *app) sessionIDs(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.ids(cmd, args, func(ctx context.Context) (ids []cobra.Completion, err error) {
		list, err := a.client.Sessions(ctx)
		for _, s := range list {
			if s.Shadowable {
				ids = append(ids, cobra.CompletionWithDesc(clean(s.ID), clean(fmt.Sprintf("%s on %s", s.User, s.Display))))
			}
		}
		return ids, err
	})
}

// shadowIDs completes the one argument of a command that takes a shadow.
func (a *app) shadowIDs(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.ids(cmd, args, func(ctx context.Context) (ids []cobra.Completion, err error) {
		list, err := a.client.List(ctx)
		for _, s := range list {
			ids = append(ids, cobra.CompletionWithDesc(clean(s.ID), clean(fmt.Sprintf("%s: %s, session %s of %s", s.State, s.Admin, s.Session, s.User))))
		}
		return ids, err
	})
}

// ids is what the daemon knows, if it answers soon, and never a file's name.
func (a *app) ids(cmd *cobra.Command, args []string, ask func(context.Context) ([]cobra.Completion, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
	defer cancel()
	ids, err := ask(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
