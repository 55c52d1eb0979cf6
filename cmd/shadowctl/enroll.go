package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/keyfile"
)

// defaultCredentials is where a host's key for the fleet is.
const defaultCredentials = "/etc/xdl/fleet.credentials"

// An enrolment is one run of enroll.
type enrolment struct {
	a *app

	config, credentials string
	id, name, code      string
	noReload            bool
}

func (a *app) enrollCommand() *cobra.Command {
	e := &enrolment{a: a}
	cmd := &cobra.Command{
		Use:   "enroll URL [CODE]",
		Short: "add this host to a fleet, with a code from shadowgate invite",
		Long: `enroll creates a key for this host, has the gate at URL add it to the fleet, and
writes the key and [fleet] to the configuration. shadowd then connects to the
fleet's bus; no new port listens here. This host's rules and its users' answers
decide as before.

Without CODE, or with --code -, the code is read from standard input; on a
terminal you are asked for it. On the command line, every user of this host could
read the code while enroll runs, and use it first.

A host that is already in the fleet changes its key by enrolling again. The code
of another fleet replaces the current one.`,
		Example: "  shadowctl enroll https://gate.corp.example\n  shadowctl enroll https://gate.corp.example --code - < code",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 1 && len(args) != 2:
				return errors.New("enroll takes the gate's address, and reads the code")
			case e.code != "" && e.code != "-":
				return errors.New("--code can only be -, for standard input")
			case e.code == "-" && len(args) == 2:
				return errors.New("give the code once: on standard input, or after the address")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              a.does(e.run),
	}
	flags := cmd.Flags()
	flags.StringVar(&e.config, "config", "", "configuration `file` (default "+config.DefaultPath+")")
	flags.StringVar(&e.credentials, "credentials", defaultCredentials, "`file` for this host's key")
	flags.StringVar(&e.id, "id", "", "what this host is called in the fleet (default: the first part of its name)")
	flags.StringVar(&e.name, "name", "", "`name` by which gates reach this host's ports (default: its own)")
	flags.StringVar(&e.code, "code", "", "-: read the code from standard input, as without one")
	flags.BoolVar(&e.noReload, "no-reload", false, "don't reload a running shadowd")
	return cmd
}

func (e *enrolment) run(ctx context.Context, args []string) error {
	if e.config == "" && os.Geteuid() != 0 {
		return errors.New("only root can write " + config.DefaultPath + "; run this as root")
	}
	if err := keyfile.CheckPath(e.credentials); err != nil {
		return fmt.Errorf("--credentials: %w", err)
	}
	there, err := config.Has(e.config, "fleet.servers", "fleet.credentials") // before the code is used up
	if err != nil {
		return err
	}
	h, err := e.host(ctx)
	if err != nil {
		return err
	}
	code, err := e.readCode(args[1:])
	if err != nil {
		return err
	}
	c, err := enrol.Enroll(ctx, args[0], code, h)
	if err != nil {
		return err
	}
	if err := c.Save(e.credentials); err != nil {
		return fmt.Errorf("the host is in the fleet, but its key can't be written; mend this, and enrol again with a code of shadowgate invite --replace: %w", err)
	}
	if err := e.configure(c, there); err != nil {
		return err
	}
	if e.a.json {
		return e.a.printJSON(map[string]any{"id": c.ID, "servers": c.Servers, "credentials": e.credentials})
	}
	fmt.Fprintf(e.a.stdout, "%s is in the fleet. Its key is in %s.\n", c.ID, e.credentials)
	e.reload(ctx)
	return nil
}

// maxCode bounds a line with a code.
const maxCode = 1 << 10

// readCode is the code: an argument, or a line of standard input, which no other user of this host can read.
func (e *enrolment) readCode(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	if e.a.stdin == nil {
		return "", errors.New("there is no standard input to read the code from")
	}
	if isTerminal(e.a.stdin) {
		fmt.Fprint(e.a.stderr, "Code: ")
	}
	line, err := bufio.NewReader(io.LimitReader(e.a.stdin, maxCode)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("standard input: %w", err)
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.New("standard input has no code; shadowgate invite makes one")
	}
	return line, nil
}

// host is who enters.
func (e *enrolment) host(ctx context.Context) (enrol.Host, error) {
	h := enrol.Host{ID: e.id, Name: e.name}
	if h.Name == "" {
		h.Name, _ = shadow.FQDN(ctx) // without a name, gates use the address that this host comes from
	}
	if h.ID == "" {
		h.ID, _, _ = strings.Cut(h.Name, ".")
	}
	if h.ID == "" {
		name, err := os.Hostname()
		if err != nil {
			return h, fmt.Errorf("this host doesn't know its name: %w; give --id", err)
		}
		h.ID, _, _ = strings.Cut(name, ".")
	}
	h.ID = strings.ToLower(h.ID)
	before, err := enrol.Load(e.credentials)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return h, fmt.Errorf("%w; remove the file if its key isn't needed", err)
	}
	h.Before = before
	return h, nil
}

// configure writes [fleet]. What is there is kept, and said if it doesn't fit.
func (e *enrolment) configure(c *enrol.Credentials, there map[string]bool) error {
	quoted := make([]string, 0, len(c.Servers))
	for _, s := range c.Servers {
		quoted = append(quoted, keyfile.Quote(s))
	}
	if err := config.Add(e.config, []config.Line{
		{Name: "fleet.servers", Value: "[" + strings.Join(quoted, ", ") + "]"},
		{Name: "fleet.credentials", Value: keyfile.Quote(e.credentials)},
	}); err != nil {
		return err
	}
	if !there["fleet.servers"] && !there["fleet.credentials"] {
		return nil
	}
	now, err := config.Load(e.config)
	if err != nil {
		return err
	}
	if !slices.Equal(now.Fleet.Servers, c.Servers) || now.Fleet.Credentials != e.credentials {
		fmt.Fprintf(e.a.stderr, "%s: [fleet] was in the configuration and is kept; the gate says servers = [%s], and the key is in %s\n", e.a.name, strings.Join(quoted, ", "), e.credentials)
	}
	return nil
}

const reloadTime = 20 * time.Second

// reload has a running shadowd read the configuration, or says how.
func (e *enrolment) reload(ctx context.Context) {
	if e.noReload || e.config != "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	if err := exec.CommandContext(ctx, "systemctl", "reload", "shadowd").Run(); err != nil {
		fmt.Fprintln(e.a.stdout, "Now: systemctl reload shadowd")
	}
}
