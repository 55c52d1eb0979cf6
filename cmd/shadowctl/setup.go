package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/doctor"
	"vda.internal/shadow/internal/setup"
)

// A preparation is one run of setup.
type preparation struct {
	a    *app
	host setup.Host

	group, choice string // of the command line; empty: not given
	yes, dry      bool

	print *printer
	ask   *questions // nil: nobody can be asked
}

func (a *app) setupCommand() *cobra.Command {
	r := &preparation{a: a}
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "prepare this host: configuration, certificate, firewall",
		Long: `setup inspects this host, asks a few questions, and prepares it for viewing.
Enter accepts a proposal. It shows the change to the configuration file before it
writes it, and prints the commands that you still have to run:

  viewer.host      the name by which viewers reach this host
  control.group    the group whose members may request sessions, besides root
  certificate      the openssl command for a request to the site's authority,
                   or a self-signed pair for a trial
  firewall         the command that lets viewers through the firewall

It changes no existing key or certificate, and runs none of the commands. Once
everything is done it proposes nothing. With --yes it accepts the proposals, or
the values of flags, without questions. Without a terminal and without --yes it
writes nothing and exits with 1 if there is something to write.`,
		Example: `  shadowctl setup
  shadowctl setup --dry-run
  shadowctl setup --yes --host vda1.corp.example --certificate self-signed`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unexpected argument %q", args[0])
			}
			return r.check()
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              a.does(func(ctx context.Context, _ []string) error { return r.run(ctx) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.host.Config, "config", "", "configuration `file` (default "+config.DefaultPath+")")
	flags.StringVar(&r.host.Name, "host", "", "`name` that viewers use for this host (default: its own)")
	flags.StringVar(&r.group, "group", "", "`group` that may ask (default: "+setup.DefaultGroup+")")
	flags.StringVar(&r.choice, "certificate", "", "`what` to do without one: request, self-signed, none")
	flags.BoolVarP(&r.yes, "yes", "y", false, "write without asking")
	flags.BoolVar(&r.dry, "dry-run", false, "show what would be done, and write nothing")
	_ = cmd.RegisterFlagCompletionFunc("certificate", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return choices(), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.MarkFlagsMutuallyExclusive("yes", "dry-run")
	return cmd
}

func choices() (list []string) {
	for _, c := range setup.Choices() {
		list = append(list, string(c))
	}
	return list
}

// check looks at what the flags say.
func (r *preparation) check() error {
	if r.choice != "" && !slices.Contains(choices(), r.choice) {
		return fmt.Errorf("--certificate is %q; %s are allowed", r.choice, strings.Join(choices(), ", "))
	}
	if r.host.Name != "" {
		if err := setup.CheckName(r.host.Name); err != nil {
			return fmt.Errorf("--host: %w", err)
		}
	}
	return nil
}

func (r *preparation) run(ctx context.Context) error {
	r.print = newPrinter(r.a.stdout)
	if r.host.Config == "" && !r.dry && os.Geteuid() != 0 {
		return errors.New("only root can write " + config.DefaultPath + "; run this as root, or with --dry-run to see what it would do")
	}
	if r.a.stdin != nil && isTerminal(r.a.stdin) && isTerminal(r.a.stdout) && !r.yes && !r.dry && !r.a.json {
		r.ask = &questions{p: r.print, in: r.a.stdin}
	}
	s, err := r.host.Look(ctx)
	if err != nil {
		return err
	}
	r.say(func() { r.found(s) })
	answers, err := r.answers(ctx, s)
	if err != nil {
		return err
	}
	plan, err := s.Plan(ctx, answers)
	if err != nil {
		return err
	}
	r.say(func() { r.changes(plan) })
	written, refused := false, error(nil)
	if plan.Changes() && !r.dry {
		if refused, err = r.allowed(ctx); err != nil {
			return err
		}
		if refused == nil {
			if err := plan.Write(); err != nil {
				return err
			}
			written = true
		}
	}
	if r.a.json {
		return errors.Join(r.printJSON(s, plan, written), refused)
	}
	if refused == nil {
		r.left(plan, written)
	}
	return refused
}

// say prints for people.
func (r *preparation) say(f func()) {
	if !r.a.json {
		f()
	}
}

// found prints what the host is like.
func (r *preparation) found(s *setup.State) {
	fmt.Fprintf(r.print.w, "%s\n\n", r.print.paint("\x1b[1m", "This host"))
	c := doctor.Check{Name: "configuration", State: doctor.OK, Found: s.Path + " has no mistakes"}
	if s.New {
		c.Found = "there is no " + s.Path + " yet"
	}
	r.print.check(c)
	for _, c := range s.Report.Checks {
		r.print.check(c)
	}
}

// pairCheck is what there is of a certificate.
func pairCheck(p setup.Pair) doctor.Check {
	state := map[setup.PairState]doctor.State{setup.PairFine: doctor.OK, setup.PairUnfit: doctor.Bad}
	return doctor.Check{Name: "certificate", State: cmp.Or(state[p.State], doctor.Note), Found: p.Found, Remedy: p.Remedy}
}

// answers are those of the command line, of the person at the terminal, and those proposed.
func (r *preparation) answers(ctx context.Context, s *setup.State) (setup.Answers, error) {
	a := s.Proposal(ctx)
	a.Name = cmp.Or(r.host.Name, a.Name)
	a.Group = cmp.Or(r.group, a.Group)
	a.Certificate = cmp.Or(setup.Choice(r.choice), a.Certificate)
	if r.ask != nil {
		if err := r.names(ctx, s, &a); err != nil {
			return a, err
		}
	}
	name := cmp.Or(s.Config.Viewer.Host, a.Name, s.Name)
	if name == "" {
		return a, nil
	}
	p := s.Pair(name)
	check := pairCheck(p)
	s.Report.Checks = append(s.Report.Checks, check)
	choose := r.ask != nil && r.choice == "" && p.State == setup.PairMissing
	if choose {
		check.Remedy = "" // follows
	}
	r.say(func() { r.print.check(check) })
	if !choose {
		return a, nil
	}
	choice, err := r.certificate(ctx, a.Certificate)
	a.Certificate = choice
	return a, err
}

// nothing is the answer that leaves a key out.
const nothing = "-"

// names asks for viewer.host and control.group, where neither the file nor the command line
// says.
func (r *preparation) names(ctx context.Context, s *setup.State, a *setup.Answers) error {
	askName, askGroup := !s.Set["viewer.host"] && r.host.Name == "", !s.Set["control.group"] && r.group == ""
	if askName || askGroup {
		fmt.Fprintf(r.print.w, "\nEnter takes what is in brackets, and %s leaves it out.\n", nothing)
	}
	if askName {
		name, err := r.ask.ask(ctx, "Name by which viewers reach this host", cmp.Or(a.Name, nothing), optional(setup.CheckName))
		if err != nil {
			return err
		}
		a.Name = written(name)
	}
	if askGroup {
		group, err := r.ask.ask(ctx, "Group whose members may ask for sessions, besides root", cmp.Or(a.Group, nothing),
			optional(func(g string) error { return s.CheckGroup(ctx, g) }))
		if err != nil {
			return err
		}
		a.Group = written(group)
	}
	if askName || askGroup {
		fmt.Fprintln(r.print.w)
	}
	return nil
}

// optional lets an answer be nothing.
func optional(check func(string) error) func(string) error {
	return func(s string) error {
		if s == nothing {
			return nil
		}
		return check(s)
	}
}

// written is an answer as it is written.
func written(answer string) string {
	if answer == nothing {
		return ""
	}
	return answer
}

// certificate asks what is to be done without one.
func (r *preparation) certificate(ctx context.Context, proposal setup.Choice) (setup.Choice, error) {
	fmt.Fprint(r.print.w, `
  1  print the request for the site's authority
  2  make a pair that has signed itself, for a trial: browsers warn of it
  3  none: viewers connect with ws, which a page loaded over https can't

`)
	all := setup.Choices()
	n, err := r.ask.ask(ctx, "Certificate", strconv.Itoa(slices.Index(all, proposal)+1), func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < 1 || n > len(all) {
			return fmt.Errorf("a number from 1 to %d, please", len(all))
		}
		return nil
	})
	if err != nil {
		return proposal, err
	}
	i, _ := strconv.Atoi(n)
	return all[i-1], nil
}

// changes prints what will be written.
func (r *preparation) changes(p *setup.Plan) {
	if !p.Changes() {
		fmt.Fprintf(r.print.w, "\nNothing to be written.\n")
		return
	}
	fmt.Fprintf(r.print.w, "\n%s\n\n", r.print.paint("\x1b[1m", "To be written"))
	for _, f := range p.Files() {
		fmt.Fprintf(r.print.w, "new file: %s\n", f)
	}
	for line := range strings.Lines(p.Diff()) {
		line = clean(strings.TrimSuffix(line, "\n"))
		if strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+++ ") {
			line = r.print.paint("\x1b[32m", line)
		}
		fmt.Fprintln(r.print.w, line)
	}
}

// allowed finds out whether it may be written. refused says why not.
func (r *preparation) allowed(ctx context.Context) (refused, err error) {
	switch {
	case r.yes:
		return nil, nil
	case r.ask == nil:
		return errors.New("nothing was written: --yes writes it without asking, and questions need a terminal"), nil
	}
	fmt.Fprintln(r.print.w)
	yes, err := r.ask.yes(ctx, "Write it?")
	if err == nil && !yes {
		refused = errors.New("nothing was written")
	}
	return refused, err
}

// left prints what the administrator has to do.
func (r *preparation) left(p *setup.Plan, written bool) {
	if written {
		fmt.Fprintf(r.print.w, "\nWritten.\n")
	}
	fmt.Fprintf(r.print.w, "\n%s\n", r.print.paint("\x1b[1m", "Left to do, as root"))
	for _, step := range p.Steps {
		fmt.Fprintf(r.print.w, "\n%s\n\n", r.print.wrap("", step.What))
		for line := range strings.SplitSeq(step.Command, "\n") {
			fmt.Fprintln(r.print.w, clean(line)) // neither wrapped nor indented: it is to be copied
		}
	}
}

// printJSON prints the whole for programs.
func (r *preparation) printJSON(s *setup.State, p *setup.Plan, written bool) error {
	type change struct {
		Key   string `json:"key"`
		Value string `json:"value"` // as TOML
	}
	changes := make([]change, len(p.Lines))
	for i, l := range p.Lines {
		changes[i] = change{l.Name, l.Value}
	}
	return r.a.printJSON(struct {
		Config  string         `json:"config"`
		Checks  []doctor.Check `json:"checks"`
		Changes []change       `json:"changes"`
		Files   []string       `json:"files"`
		Diff    string         `json:"diff"`
		Written bool           `json:"written"`
		Steps   []setup.Step   `json:"steps"`
	}{p.Path, s.Report.Checks, changes, append([]string{}, p.Files()...), p.Diff(), written, p.Steps})
}
