package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/fleet/registry"
	"vda.internal/shadow/internal/gate/settings"
	"vda.internal/shadow/internal/host/account"
	"vda.internal/shadow/internal/usage"
)

// fleetTime is how long a command waits for the bus.
const fleetTime = 30 * time.Second

// withFleet lets do use the fleet's list.
func (p *program) withFleet(cmd *cobra.Command, do func(context.Context, *settings.Settings, *registry.Registry) error) error {
	s, err := p.settings(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), fleetTime)
	defer cancel()
	f, err := reach(ctx, s)
	if err != nil {
		return err
	}
	defer f.close()
	return do(ctx, s, f.registry(s))
}

func (p *program) invite() *cobra.Command {
	i := registry.Invitation{}
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "create a code with which one host can join the fleet, once",
		Long: `invite prints the command to run on the host, as root, and the code that this command asks for; on
a command line, every user of the host could read the code. The code works once, for a limited time, and for a
host whose id matches the pattern. Anybody who has it can become that host, so keep it confidential on
its way there.`,
		Example: "  shadowgate invite --hosts 'vda-*' --for 1h",
		Args:    noArguments,

		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withFleet(cmd, func(ctx context.Context, s *settings.Settings, r *registry.Registry) error {
				i.By = invitedBy(ctx)
				code, err := r.Invite(ctx, i)
				if refused, ok := errors.AsType[*registry.Refused](err); ok {
					return &usage.Error{Err: refused}
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(p.stdout, "shadowctl enroll %s\n%s\n", originOf(s), code)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&i.Hosts, "hosts", "", "`pattern` for the host's id, such as 'vda-*'")
	cmd.Flags().DurationVar(&i.For, "for", time.Hour, "how long the code is valid")
	cmd.Flags().BoolVar(&i.Replace, "replace", false, "allow a host that is in the fleet and has lost its key to join again")
	_ = cmd.MarkFlagRequired("hosts")
	return cmd
}

func (p *program) busConfig() *cobra.Command {
	return &cobra.Command{
		Use:   "bus-config",
		Short: "print the configuration that your own NATS servers need for the fleet",
		Long: `bus-config prints a part of nats-server's configuration, to be included there: the operator and the accounts
of the fleet, and which keys are revoked. The keys are those in bus.dir; they are made if there are none. After
shadowgate hosts revoke, write it again and reload the servers, so that they cut the host off.`,
		Example: "  shadowgate bus-config > /etc/nats/shadow.conf && systemctl reload nats-server",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := p.settings(cmd)
			if err != nil {
				return err
			}
			keys, err := makeKeys(s.BusKeys(), s.Bus.Keys == "", gateOwner(cmd.Context()))
			if err != nil {
				return err
			}
			text, err := keys.ServerConfig(s.BusDir())
			if err != nil {
				return err
			}
			_, err = io.WriteString(p.stdout, text)
			return err
		},
	}
}

// An owner is an account as files know it.
type owner struct{ uid, gid int }

// gateOwner is the account that the unit runs shadowgate as, which reads and changes what root has made for it. Nil: there is none, or who
// calls can give nothing away.
func gateOwner(ctx context.Context) *owner {
	if os.Geteuid() != 0 {
		return nil
	}
	a, err := account.Lookup(ctx, gateAccount)
	if err != nil {
		return nil
	}
	return &owner{int(a.UID), int(a.GID)}
}

// makeKeys is [bus.OpenKeys] for somebody else, who gets the files and the folders that it makes.
func makeKeys(dir string, create bool, of *owner) (*bus.Keys, error) {
	if !create || of == nil {
		return bus.OpenKeys(dir, create)
	}
	return bus.MakeKeys(dir, func(made *os.File) error { return made.Chown(of.uid, of.gid) })
}

// invitedBy is the account that calls, for the list; empty: it isn't known.
func invitedBy(ctx context.Context) string {
	a, err := account.LookupID(ctx, uint32(os.Getuid()))
	if err != nil {
		return ""
	}
	return a.Name
}

// originOf is where hosts find the gate.
func originOf(s *settings.Settings) string {
	if s.Web.Origin != "" {
		return s.Web.Origin
	}
	return map[bool]string{true: "https", false: "http"}[s.TLS.On] + "://" + s.Web.Listen
}

func (p *program) hosts() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hosts",
		Short: "list the fleet's hosts",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withFleet(cmd, func(ctx context.Context, _ *settings.Settings, r *registry.Registry) error {
				list, err := r.Hosts(ctx)
				if err != nil {
					return err
				}
				return p.listHosts(list)
			})
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "revoke ID",
		Short: "remove a host from the fleet and revoke its key",
		Long: `revoke removes a host from the fleet. Gates accept nothing from it any more, and their built-in bus
disconnects it. Your own NATS servers do so once they have been told: revoke prints how.`,
		Args: oneName("host"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withFleet(cmd, func(ctx context.Context, s *settings.Settings, r *registry.Registry) error {
				keys, err := r.Revoke(ctx, args[0])
				if err != nil || len(s.Bus.Servers) == 0 {
					return err
				}
				return p.toRevoke(s, r, args[0], keys)
			})
		},
		ValidArgsFunction: p.hostIDs,
	}, p.revokedKeys())
	return cmd
}

// toRevoke says how servers that are the organisation's cut a host off.
func (p *program) toRevoke(s *settings.Settings, r *registry.Registry, id string, keys []fleet.Revocation) error {
	how := "called dist/nats/write-accounts again, and reloaded them"
	if !r.Keys.Embedded() {
		how = "revoked its keys there:\nshadowgate hosts revoked | xargs -n 1 nsc revocations add-user --account SHADOW --user-public-key"
	} else if err := r.Keys.KeepRevoked(s.BusDir(), keys); err != nil { // the gate does so, too, soon
		return fmt.Errorf("%s is out at the gates, but what your servers are told can't have it: %w", id, err)
	}
	_, err := fmt.Fprintf(p.stdout, "Gates take nothing more from %s. Your servers do until you have %s\n", id, how)
	return err
}

func (p *program) revokedKeys() *cobra.Command {
	return &cobra.Command{
		Use:   "revoked",
		Short: "print the revoked keys, one a line",
		Long: `revoked prints the keys of hosts that were shown out, and those that hosts had before they enrolled again. It is for
NATS servers with an operator of their own, which have to be told.`,
		Example: "  shadowgate hosts revoked | xargs -n 1 nsc revocations add-user --account SHADOW --user-public-key",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withFleet(cmd, func(ctx context.Context, _ *settings.Settings, r *registry.Registry) error {
				list, err := r.Hosts(ctx)
				for _, h := range list {
					for _, one := range h.Revoked {
						fmt.Fprintln(p.stdout, one.Key)
					}
				}
				return err
			})
		},
	}
}

// completeTime is how long a shell waits for ids: whoever presses Tab waits for it.
const completeTime = 2 * time.Second

// hostIDs completes the one argument of a command that takes a host of the fleet.
func (p *program) hostIDs(cmd *cobra.Command, args []string, _ string) (ids []cobra.Completion, _ cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
	defer cancel()
	cmd.SetContext(ctx)
	_ = p.withFleet(cmd, func(ctx context.Context, _ *settings.Settings, r *registry.Registry) error {
		list, err := r.Hosts(ctx)
		for _, h := range list {
			if !h.Gone {
				ids = append(ids, cobra.CompletionWithDesc(h.ID, h.Name))
			}
		}
		return err
	})
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func (p *program) listHosts(list []registry.Listed) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tSTATE\tSESSIONS\tENROLLED\tNAME\tADDRESS\tINVITED AS")
	for _, h := range list {
		state, sessions := "away", "-"
		switch {
		case h.Broken:
			state = "broken: enrol it with invite --replace"
		case h.Gone:
			state = "revoked"
		case h.Presence != nil:
			state, sessions = "up", fmt.Sprint(len(h.Presence.Sessions)+h.Presence.LeftOut)
			if h.Presence.LeftOut > 0 {
				sessions += fmt.Sprintf(" (%d not shown)", h.Presence.LeftOut)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.ID, state, sessions, h.Since.Local().Format(time.DateTime), h.Name, h.Address, h.By)
	}
	return w.Flush()
}
