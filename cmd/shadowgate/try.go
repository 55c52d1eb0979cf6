package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/settings"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/host/child"
)

const (
	tryAccount = "admin"
	startTime  = time.Minute      // for shadowd to answer
	endTime    = 15 * time.Second // for shadowd to end its views
)

// try is the console of this machine for as long as it runs.
func (p *program) try() *cobra.Command {
	return &cobra.Command{
		Use:   "try",
		Short: "try the console on this machine, and leave nothing behind",
		Long: `try serves the console of this machine until it is ended with Ctrl+C. It prints its address and
the password of an account that it makes for that time, and starts the shadowd beside it unless
one runs already. All its files are in a temporary folder, which goes with it.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return errors.New("try needs root: shadowd asks the users of sessions, and captures their screens as them")
			}
			return p.trial(cmd.Context())
		},
	}
}

// trial runs shadowd, if there is none, and the gate, until ctx ends.
func (p *program) trial(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "shadowgate-try-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	daemon, socket, err := p.daemon(ctx, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if daemon != nil {
		defer func() { err = errors.Join(err, daemon.Stop(0, endTime)) }()
		go func() { // it ends before Stop has returned
			<-daemon.Done()
			cancel(fmt.Errorf("shadowd has ended with status %d", daemon.ExitCode()))
		}()
	}
	address := ""
	if daemon != nil {
		address = "127.0.0.1"
	}
	s, password, err := p.trialSettings(dir, socket, address)
	if err != nil {
		return err
	}
	p.ready = func(address string) {
		_, _ = fmt.Fprintf(p.stdout, "Open %s and sign in as %s with the password %s\nCtrl+C ends it; nothing stays behind.\n", address, tryAccount, password)
	}
	err = p.serve(ctx, s)
	if errors.Is(err, syscall.EADDRINUSE) {
		s.Web.Listen = "127.0.0.1:0" // shadowgate may be running already
		err = p.serve(ctx, s)
	}
	if err != nil {
		return err
	}
	if daemon != nil {
		select {
		case <-daemon.Done():
			return context.Cause(ctx)
		default:
		}
	}
	return nil
}

// trialSettings are those of a gate that keeps all it has in dir, where its one account is made. address is where granted ports
// are; empty: where shadowd says.
func (p *program) trialSettings(dir, socket, address string) (*settings.Settings, string, error) {
	file := filepath.Join(dir, "shadowgate.toml")
	accounts := &signin.Accounts{Path: filepath.Join(dir, "accounts")}
	config := fmt.Appendf(nil, "[accounts]\nfile = %q\n[tokens]\nfile = \"\"\n[local]\nsocket = %q\naddress = %q\n[state]\ndir = %q\n[log]\nformat = \"console\"\n[[access]]\nnames = [%q]\nmay = [\"list\", \"shadow\", \"stop\", \"audit\"]\n",
		accounts.Path, socket, address, filepath.Join(dir, "state"), tryAccount)
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, "", err
	}
	password := strings.ToLower(rand.Text()[:16])
	if err := accounts.Set(tryAccount, password, nil, ""); err != nil {
		return nil, "", err
	}
	s, err := settings.Load(file)
	return s, password, err
}

// daemon is the control socket of this machine's shadowd, and shadowd itself if it had to be started: the caller stops it then.
func (p *program) daemon(ctx context.Context, dir string) (*child.Process, string, error) {
	if _, err := (api.Client{}).List(ctx); err == nil {
		return nil, api.DefaultSocket, nil
	}
	path, err := shadowd()
	if err != nil {
		return nil, "", err
	}
	client := api.Client{Socket: filepath.Join(dir, "control.sock")}
	file := filepath.Join(dir, "shadowing.toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "[ports]\nlisten = \"127.0.0.1\"\n[viewer]\nhost = \"localhost\"\n[control]\nsocket = %q\n", client.Socket), 0o600); err != nil {
		return nil, "", err
	}
	cmd := exec.Command(path, "--config", file, "--log-format", "console")
	cmd.Env = os.Environ()
	cmd.Stdout, cmd.Stderr = p.stderr, p.stderr
	cmd.WaitDelay = time.Second
	started, err := child.Start(cmd, child.Own())
	if err != nil {
		return nil, "", fmt.Errorf("starting %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		if _, err = client.List(ctx); err == nil {
			return started, client.Socket, nil
		}
		select {
		case <-started.Done():
			return nil, "", fmt.Errorf("shadowd doesn't start; it has ended with status %d, and says why above", started.ExitCode())
		case <-ctx.Done():
			return nil, "", errors.Join(fmt.Errorf("shadowd doesn't answer: %w", err), started.Stop(0, endTime))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// shadowd is the program beside this one, or on the PATH.
func shadowd() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(self), "shadowd")
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	path, err := exec.LookPath("shadowd")
	if err != nil {
		return "", fmt.Errorf("shadowd isn't beside %s, and not on the PATH: build it with make build", self)
	}
	return path, nil
}
