package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/host/account"
	"vda.internal/shadow/internal/usage"
)

// gateAccount is whom the unit runs shadowgate as.
const gateAccount = "shadowgate"

func (p *program) passwd() *cobra.Command {
	var groups []string
	var fullName string
	var remove bool
	cmd := &cobra.Command{
		Use:   "passwd NAME",
		Short: "create an account, change its password, or remove it",
		Long: `passwd creates an account in accounts.file or changes its password. It asks for the password on the
terminal, or reads one line from standard input. Groups and full name stay unchanged unless given. People
who signed in with the old password are signed out.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage.Errorf("passwd takes one name")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := p.settings(cmd)
			if err != nil {
				return err
			}
			if s.Accounts.File == "" {
				return errors.New("accounts.file is empty: sign-in by password is turned off here")
			}
			accounts := &signin.Accounts{Path: s.Accounts.File}
			if remove {
				return accounts.Remove(args[0])
			}
			password, err := p.askPassword()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("groups") {
				groups = nil
			} else if groups == nil {
				groups = []string{}
			}
			return p.readable(cmd, s.Accounts.File, func() error { return accounts.Set(args[0], password, groups, fullName) })
		},
	}
	cmd.Flags().StringSliceVar(&groups, "groups", nil, "the groups that the account is in, separated by commas")
	cmd.Flags().StringVar(&fullName, "full-name", "", "the name for people")
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the account")
	return cmd
}

// readable lets write make or change a file, and lets the gate's account read one that it has made.
func (p *program) readable(cmd *cobra.Command, path string, write func() error) error {
	_, err := os.Stat(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err := write(); err != nil || !fresh || os.Geteuid() != 0 {
		return err
	}
	gid, err := account.GroupID(cmd.Context(), gateAccount)
	if err != nil {
		return nil // there is no such group: whoever runs shadowgate will be root
	}
	if err := os.Chown(path, 0, int(gid)); err != nil {
		return err
	}
	return os.Chmod(path, 0o640)
}

// askPassword asks on the terminal, twice and unseen, or reads a line.
func (p *program) askPassword() (string, error) {
	f, ok := p.stdin.(*os.File)
	if !ok || !isTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(p.stdin, signin.MaxPassword+2)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	one, err := p.unseen(f, "Password: ")
	if err != nil {
		return "", err
	}
	two, err := p.unseen(f, "Again: ")
	if err == nil && one != two {
		err = errors.New("these are two passwords; nothing was changed")
	}
	return one, err
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// unseen asks for a line that isn't echoed.
func (p *program) unseen(f *os.File, question string) (string, error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &quiet); err != nil {
		return "", err
	}
	defer func() {
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, before)
		fmt.Fprintln(p.stderr)
	}()
	fmt.Fprint(p.stderr, question)
	var line []byte
	for b := make([]byte, 1); len(line) <= signin.MaxPassword; {
		if _, err := f.Read(b); err != nil {
			return "", err
		}
		if b[0] == '\n' || b[0] == '\r' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
	return "", errors.New("the password is too long")
}

func (p *program) token() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "manage tokens for scripts, which send the header Authorization: Bearer TOKEN",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage.Errorf("token: add, list or remove")
		},
	}
	cmd.AddCommand(p.addToken(), p.listTokens(), p.removeToken())
	return cmd
}

// tokens is the file of tokens.
func (p *program) tokens(cmd *cobra.Command) (*signin.Tokens, error) {
	s, err := p.settings(cmd)
	if err != nil {
		return nil, err
	}
	if s.Tokens.File == "" {
		return nil, errors.New("tokens.file is empty: there are no tokens here")
	}
	return &signin.Tokens{Path: s.Tokens.File}, nil
}

func oneName(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage.Errorf("it takes one %s", what)
		}
		return nil
	}
}

func (p *program) addToken() *cobra.Command {
	var groups []string
	var days int
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "create a token and print it, this once",
		Long: `add makes a token. NAME is what hosts and their users are told, and what the access table's names
match, as the groups do.`,
		Args: oneName("name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			tokens, err := p.tokens(cmd)
			if err != nil {
				return err
			}
			if days < 1 || days > 3650 {
				return usage.Errorf("--days is from 1 to 3650")
			}
			return p.readable(cmd, tokens.Path, func() error {
				_, text, err := tokens.Add(args[0], groups, time.Now().AddDate(0, 0, days))
				if err == nil {
					_, err = fmt.Fprintln(p.stdout, text)
				}
				return err
			})
		},
	}
	cmd.Flags().StringSliceVar(&groups, "groups", nil, "the groups that it is in, separated by commas")
	cmd.Flags().IntVar(&days, "days", 90, "how many days it is good")
	return cmd
}

func (p *program) listTokens() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the tokens, without their secrets",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tokens, err := p.tokens(cmd)
			if err != nil {
				return err
			}
			list, err := tokens.List()
			if err != nil {
				return err
			}
			for _, t := range list {
				until := "until " + t.Expires.Format(time.DateOnly)
				if time.Now().After(t.Expires) {
					until = "expired"
				}
				if _, err := fmt.Fprintf(p.stdout, "%s  %s  %s  %s\n", t.ID, t.Name, strings.Join(t.Groups, ","), until); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (p *program) removeToken() *cobra.Command {
	return &cobra.Command{
		Use:   "remove ID",
		Short: "remove a token and sign out whoever uses it",
		Args:  oneName("id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			tokens, err := p.tokens(cmd)
			if err != nil {
				return err
			}
			return tokens.Remove(args[0])
		},
	}
}
