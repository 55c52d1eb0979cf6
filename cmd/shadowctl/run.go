package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/internal/usage"
	"vda.internal/shadow/internal/version"
)

// The exit statuses of shadowctl, besides usage.Status.
const (
	exitDone        = 0
	exitFailed      = 1
	exitRefused     = 3 // or, with --wait-viewer, ended before a viewer came
	exitUnreachable = 4
)

// An app is one run of shadowctl.
type app struct {
	name    string // as which messages come
	client  api.Client
	json    bool
	started bool // the command line was right

	socketGiven bool     // --socket
	stdin       *os.File // where a person may answer; nil: nobody can
	stdout      io.Writer
	stderr      io.Writer
}

// run is shadowctl under the name that it was started with, which may be
// ctxreg. It returns the exit status.
func run(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	return (&app{name: "shadowctl", stdin: os.Stdin, stdout: stdout, stderr: stderr}).run(ctx, name, args)
}

func (a *app) run(ctx context.Context, name string, args []string) int {
	cmd := a.command()
	if filepath.Base(name) == ctxregName {
		a.name = ctxregName
		cmd = a.ctxregProgram()
	}
	cmd.SetArgs(args)
	cmd.SetOut(a.stdout)
	cmd.SetErr(a.stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if !a.started {
		err = &usage.Error{Err: err}
	}
	return a.explain(ctx, err)
}

// explain says what went wrong, and returns the exit status for it.
func (a *app) explain(ctx context.Context, err error) int {
	if wrong, ok := errors.AsType[*usage.Error](err); ok {
		fmt.Fprintf(a.stderr, "%s: %v\nTry '%[1]s --help'.\n", a.name, wrong)
		return usage.Status
	}
	if ctx.Err() != nil {
		fmt.Fprintf(a.stderr, "%s: interrupted\n", a.name)
		return exitFailed
	}
	if errors.Is(err, errSick) {
		return exitFailed // the report has said it
	}
	if reason, detail, ok := refusal(err); ok {
		if a.json {
			_ = a.printJSON(struct {
				Reason shadow.Reason `json:"reason"`
				Detail string        `json:"detail,omitempty"`
			}{reason, detail})
		}
		fmt.Fprintf(a.stderr, "%s: %s\n", a.name, clean(err.Error()))
		return exitRefused
	}
	fmt.Fprintf(a.stderr, "%s: %s\n", a.name, words(err))
	if errors.Is(err, api.ErrUnreachable) {
		return exitUnreachable
	}
	return exitFailed
}

// words is an error for people.
func words(err error) string {
	lines := strings.Split(named.Text(err), "\n") // a broken file has an error a line
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// refusal takes the reason out of an error that has one.
func refusal(err error) (reason shadow.Reason, detail string, ok bool) {
	if e, ok := errors.AsType[*endedError](err); ok {
		return e.reason, e.detail, true
	}
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Reason != "" {
		return p.Reason, p.Detail, true
	}
	return "", "", false
}

// An endedError is a shadow that ended before a viewer came.
type endedError struct {
	reason shadow.Reason
	detail string
}

func (e *endedError) Error() string {
	s := fmt.Sprintf("ended before a viewer connected (%s): %s", e.reason, e.reason.Sentence())
	if e.detail != "" {
		s += ": " + e.detail
	}
	return s
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "shadowctl",
		Short: "watch users' desktop sessions, with their consent",
		Long: `shadowctl asks shadowd on this host to show a user's desktop session to an
administrator. The user is asked first; anything but Yes, silence included, is
a refusal.`,
		Example: `  shadowctl sessions
  shadowctl shadow 42 --admin 'CORP\alice'
  shadowctl list
  shadowctl stop g6ctj2wr
  shadowctl setup
  shadowctl doctor`,
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("a command is missing")
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.client.Socket, "socket", api.DefaultSocket, "the daemon's control `socket`")
	flags.BoolVar(&a.json, "json", false, "print JSON")
	root.AddCommand(a.shadowCommand(), a.listCommand(), a.sessionsCommand(), a.stopCommand(), a.eventsCommand(), a.rulesCommand(),
		a.ctxregCommand(), a.doctorCommand(), a.setupCommand(), a.enrollCommand())
	root.SuggestionsMinimumDistance = 2
	root.Long += `

Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused (the reason is on
standard error, and with --json on standard output), 4 shadowd is not reachable.`
	return root
}

// knownCommand refuses a word that is no command, and says what may have been meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	meant := cmd.SuggestionsFor(args[0])
	if len(meant) == 0 {
		return fmt.Errorf("unknown command %q", args[0])
	}
	return fmt.Errorf("unknown command %q; did you mean %s?", args[0], strings.Join(meant, " or "))
}

// does is a command's work, once its arguments are known to be right.
func (a *app) does(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		a.socketGiven = cmd.Flags().Changed("socket")
		return f(cmd.Context(), args)
	}
}

// printJSON prints v on one line.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false) // URLs are to be copied
	return e.Encode(v)
}
