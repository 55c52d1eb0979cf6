// Package account looks users and groups up: in the local files, and through
// the host's name services (sssd, winbind, …), which a Go program without cgo
// would not see. Session hosts that have joined a domain need that.
//
//	a, err := account.Lookup(ctx, `CORP\alice`)
//	if err != nil {
//		return err
//	}
//	fmt.Println(a.UID, a.GID, a.Groups)
package account

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"time"

	"vda.internal/shadow/internal/host/printed"
)

// ErrUnknown means that neither the local files nor the name services know
// the account or group.
var ErrUnknown = errors.New("unknown to this host")

// getent asks the name services; it belongs to the C library's package.
const getent = "/usr/bin/getent"

const (
	lookupTimeout = 5 * time.Second // for one question to the name services
	maxOutput     = 1 << 20         // bytes of an answer: an account may be in many groups
)

// An Account is a user of this host.
type Account struct {
	Name   string
	UID    uint32
	GID    uint32   // primary group
	Groups []uint32 // supplementary groups
	Home   string
}

// Lookup finds an account by its name. The error is ErrUnknown if there is none.
func Lookup(ctx context.Context, name string) (*Account, error) {
	u, err := user.Lookup(name)
	if err != nil && isNumber(name) {
		return nil, fmt.Errorf("%w: user %q", ErrUnknown, name) // getent would take it for an id
	}
	return database{getent}.account(ctx, name, u, err)
}

// LookupID finds an account by its user id. The error is ErrUnknown if there is none.
func LookupID(ctx context.Context, uid uint32) (*Account, error) {
	id := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(id)
	return database{getent}.account(ctx, id, u, err)
}

// FullName finds an account by its name, and returns the name as this host has it and the full name of
// its user (the first field of GECOS), which may be empty. The error is ErrUnknown if there is none.
func FullName(ctx context.Context, name string) (account, full string, err error) {
	if u, err := user.Lookup(name); err == nil {
		return u.Username, strings.TrimSpace(u.Name), nil
	}
	if isNumber(name) {
		return "", "", fmt.Errorf("%w: user %q", ErrUnknown, name)
	}
	return database{getent}.fullName(ctx, name)
}

// GroupID finds a group's id by its name. The error is ErrUnknown if there is none.
func GroupID(ctx context.Context, name string) (uint32, error) {
	if g, err := user.LookupGroup(name); err == nil {
		return number(g.Gid)
	}
	if isNumber(name) {
		return 0, fmt.Errorf("%w: group %q", ErrUnknown, name)
	}
	return database{getent}.group(ctx, name)
}

// GroupNames finds the names of groups by their ids. Those that have none are left out.
func GroupNames(ctx context.Context, gids []uint32) ([]string, error) {
	var names []string
	for _, gid := range gids {
		id := strconv.FormatUint(uint64(gid), 10)
		if g, err := user.LookupGroupId(id); err == nil {
			names = append(names, g.Name)
			continue
		}
		line, err := database{getent}.ask(ctx, "group", id)
		switch {
		case errors.Is(err, ErrUnknown):
		case err != nil:
			return nil, err
		default:
			name, _, _ := strings.Cut(line, ":")
			names = append(names, name)
		}
	}
	return names, nil
}

// account completes what os/user found, or asks the name services.
func (d database) account(ctx context.Context, key string, u *user.User, err error) (*Account, error) {
	if err != nil {
		return d.user(ctx, key)
	}
	a := &Account{Name: u.Username, Home: u.HomeDir}
	if a.UID, err = number(u.Uid); err != nil {
		return nil, err
	}
	if a.GID, err = number(u.Gid); err != nil {
		return nil, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", a.Name, err)
	}
	a.Groups, err = numbers(ids)
	return a, err
}

// A database asks the name services through a program like getent(1).
type database struct{ program string }

// passwd asks for an account's entry by name or number: "name:x:uid:gid:gecos:home:shell".
func (d database) passwd(ctx context.Context, key string) ([]string, error) {
	line, err := d.ask(ctx, "passwd", key)
	if err != nil {
		return nil, err
	}
	f := strings.Split(line, ":")
	if len(f) < 7 {
		return nil, fmt.Errorf("the name services' entry for %q has %d fields instead of 7", key, len(f))
	}
	return f, nil
}

// fullName asks for an account by name.
func (d database) fullName(ctx context.Context, name string) (account, full string, err error) {
	f, err := d.passwd(ctx, name)
	if err != nil {
		return "", "", err
	}
	full, _, _ = strings.Cut(f[4], ",")
	return f[0], strings.TrimSpace(full), nil
}

// user asks for an account by name or number.
func (d database) user(ctx context.Context, key string) (*Account, error) {
	f, err := d.passwd(ctx, key)
	if err != nil {
		return nil, err
	}
	a := &Account{Name: f[0], Home: f[5]}
	if a.UID, err = number(f[2]); err != nil {
		return nil, err
	}
	if a.GID, err = number(f[3]); err != nil {
		return nil, err
	}
	// "name gid gid …", with a line also for an account that is in none.
	line, err := d.ask(ctx, "initgroups", a.Name)
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", a.Name, err)
	}
	// A domain's names may contain spaces: cut the name off rather than split.
	a.Groups, err = numbers(strings.Fields(strings.TrimPrefix(line, a.Name)))
	return a, err
}

// group asks for a group by name: "name:x:gid:members".
func (d database) group(ctx context.Context, name string) (uint32, error) {
	line, err := d.ask(ctx, "group", name)
	if err != nil {
		return 0, err
	}
	f := strings.Split(line, ":")
	if len(f) < 3 {
		return 0, fmt.Errorf("the name services' entry for group %q has %d fields instead of 4", name, len(f))
	}
	return number(f[2])
}

// ask looks one key up. getent exits 2 if it isn't there.
func (d database) ask(ctx context.Context, table, key string) (string, error) {
	if key == "" || strings.ContainsAny(key, "\x00\n") {
		return "", fmt.Errorf("%w: %s %q", ErrUnknown, table, key)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.program, table, "--", key)
	cmd.Env = []string{}
	cmd.WaitDelay = time.Second
	out := &printed.Head{Max: maxOutput, Strict: true}
	cmd.Stdout = out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 2 {
		return "", fmt.Errorf("%w: %s %q", ErrUnknown, table, key)
	}
	if err != nil {
		return "", fmt.Errorf("asking the name services for %q: %w", key, err)
	}
	line, _, _ := strings.Cut(string(out.Bytes()), "\n")
	return line, nil
}

// number reads a user or group id. The highest one means "none" to the kernel.
func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, fmt.Errorf("%q isn't a user or group id", s)
	}
	return uint32(n), nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

func numbers(list []string) ([]uint32, error) {
	var ids []uint32
	for _, s := range list {
		n, err := number(s)
		if err != nil {
			return nil, err
		}
		ids = append(ids, n)
	}
	return ids, nil
}
