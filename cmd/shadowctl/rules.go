package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vda.internal/shadow/internal/api"
)

func (a *app) rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "show who may view whom, and how",
		Long: `rules lists the organisation's rules in order: the first that matches decides;
without a match, the user is asked. They are [[consent.rules]] in shadowd's
configuration. 'shadowctl rules test' says which one decides for a request.`,
		Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			list, err := a.client.RuleList(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			instead, rules := "", list.Rules
			if list.Terms != nil {
				instead = insteadOfAsking(list.Terms.Prompter)
			}
			if len(rules) == 0 {
				_, err := fmt.Fprintf(a.stdout, "There are no rules: %s.\n", cmp.Or(instead, "users are asked"))
				return err
			}
			rows := make([][]string, len(rules))
			for i, r := range rules {
				rows[i] = []string{strconv.Itoa(r.Number), r.Answer, r.Text}
			}
			if err := table(a.stdout, []string{"RULE", "ANSWER", "IN FULL"}, rows); err != nil || instead == "" {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "Where the answer is \"ask\", or no rule matches: %s.\n", instead)
			return err
		}),
	}
	cmd.AddCommand(a.rulesTestCommand())
	return cmd
}

func (a *app) rulesTestCommand() *cobra.Command {
	var r api.Request
	var account string
	cmd := &cobra.Command{
		Use:   "test --admin NAME --session SESSION [--group GROUP]…",
		Short: "say which rule decides for a request, and why",
		Long: `test says which rule would decide for a request, and why the rules before it
don't. Nobody is asked. The calling account is the one that runs shadowctl, unless
--account names another, or a fleet's gate: --account gate:gate1.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return fmt.Errorf("unexpected argument %q", args[0])
			case strings.TrimSpace(r.Admin) == "":
				return errors.New("--admin NAME is missing")
			case strings.TrimSpace(r.Session) == "":
				return errors.New("--session SESSION is missing; 'shadowctl sessions' lists them")
			}
			return nil
		},
		RunE: a.does(func(ctx context.Context, _ []string) error {
			v, err := a.client.TestRulesFor(ctx, r, account)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			for _, line := range v.Why {
				if _, err := fmt.Fprintln(a.stdout, clean(line)); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(a.stdout, clean(verdictLine(v)))
			return err
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Admin, "admin", "", "`name` of the administrator")
	flags.StringArrayVar(&r.Groups, "group", nil, "`group` that the administrator is in; may be given several times")
	flags.StringVar(&account, "account", "", "`account` that asks, or \"gate:\" and the name of a fleet's gate; without it the one that runs shadowctl")
	flags.StringVar(&r.Session, "session", "", "the `session`'s id")
	return cmd
}

// verdictLine is a verdict for people.
func verdictLine(v *api.Verdict) string {
	who := "no rule matches"
	if v.Number > 0 {
		who = fmt.Sprintf("rule %d decides", v.Number)
	}
	means := map[string]string{
		"ask": "the user is asked", "notify": "the user is informed, not asked", "deny": "the request is refused", "allow": "nobody is asked",
	}[v.Answer]
	silence := v.Answer == "ask"
	if instead := insteadOfAsking(v.Prompter); silence && instead != "" {
		means, silence = instead, v.Prompter == "exec"
	}
	if silence {
		means += "; silence means " + yesNo(v.Unanswered)
	}
	if v.Answer != "deny" {
		means += "; a locked screen means " + yesNo(v.Locked)
	}
	return fmt.Sprintf("%s, for account %s: %s", who, v.Account, means)
}

// insteadOfAsking is what happens with a prompter where the answer is "ask", or empty if the user is asked.
func insteadOfAsking(prompter string) string {
	return map[string]string{
		"exec":  `a program of this host decides (consent.prompter = "exec")`,
		"deny":  `nobody is asked, and the request is refused (consent.prompter = "deny")`,
		"allow": `nobody is asked, and the request is granted (consent.prompter = "allow")`,
	}[prompter]
}

func yesNo(word string) string {
	if word == "allow" {
		return "Yes"
	}
	return "No"
}
