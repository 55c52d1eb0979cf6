package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"vda.internal/shadow/internal/gate/settings"
	"vda.internal/shadow/internal/logs"
	"vda.internal/shadow/internal/named"
	"vda.internal/shadow/internal/usage"
	"vda.internal/shadow/internal/version"
)

// The exit statuses of shadowgate, besides usage.Status.
const (
	exitDone   = 0
	exitFailed = 1
)

// A program is what the commands share.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	hangups        <-chan os.Signal // are obeyed while it serves

	config string               // path
	ready  func(address string) // is called once it serves, on a trial; nil: it isn't one
}

// run is shadowgate, which obeys hangups while it serves. It returns the exit status.
func run(ctx context.Context, hangups <-chan os.Signal, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, hangups: hangups}
	cmd := p.command()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if wrong, ok := errors.AsType[*usage.Error](err); ok {
		logs.Complain(p.stderr, "shadowgate: %v\nTry 'shadowgate --help'.\n", wrong)
		return usage.Status
	}
	logs.Complain(p.stderr, "shadowgate: %s\n", named.Text(err))
	return exitFailed
}

func (p *program) command() *cobra.Command {
	var check, show bool
	cmd := &cobra.Command{
		Use:   "shadowgate",
		Short: "the console: sign in with a browser, ask for views of users' sessions, and view them",
		Long: `shadowgate serves the web console of shadowd: people sign in, see the sessions that they may see,
ask a session's user, and view the session after a Yes. shadowd on the host decides; shadowgate
needs no rights except the use of its control socket.

Without a configuration file it serves this machine on http://127.0.0.1:8880, to accounts in the
group "administrators":

  shadowgate passwd --groups administrators alice
  shadowgate

It exits on SIGTERM or SIGINT; views are interrupted and resume with the next shadowgate. On SIGHUP
it rereads the cookies' keys. Accounts, tokens and the certificate are reread when they change; all
other settings need a restart.`,
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := p.settings(cmd)
			switch {
			case err != nil:
				return err
			case show:
				_, err := p.stdout.Write(s.TOML())
				return err
			case check:
				return p.check(s)
			}
			return p.serve(cmd.Context(), s)
		},
	}
	cmd.SetIn(p.stdin)
	cmd.SetOut(p.stdout)
	cmd.SetErr(p.stderr)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usage.Error{Err: err} })
	cmd.PersistentFlags().StringVar(&p.config, "config", settings.DefaultPath, "configuration `file`")
	cmd.Flags().BoolVar(&check, "check", false, "check the configuration, and what it names, and exit")
	cmd.Flags().BoolVar(&show, "print-config", false, "print the configuration in effect, with a comment on each key, and exit")
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(p.try(), p.passwd(), p.token(), p.invite(), p.hosts(), p.busConfig())
	return cmd
}

// noArguments refuses a word, and says which command may have been meant.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		return usage.Errorf("unknown command %q; did you mean %s?", args[0], strings.Join(meant, " or "))
	}
	return usage.Errorf("unexpected argument %q", args[0])
}

// settings reads the configuration.
func (p *program) settings(cmd *cobra.Command) (*settings.Settings, error) {
	if !cmd.Flags().Changed("config") {
		return settings.Load("") // the usual file, which may be missing
	}
	return settings.Load(p.config)
}
