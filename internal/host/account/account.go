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
	if u, err := user.Lookup(name); err == nil && isAbout(name, u.Username) {
		return local(u)
	}
	return database{getent}.user(ctx, name)
}

// LookupID finds an account by its user id. The error is ErrUnknown if there is none.
func LookupID(ctx context.Context, uid uint32) (*Account, error) {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return local(u)
	}
	return database{getent}.userID(ctx, id)
}

// FullName finds an account by its name, and returns the name as this host has it and the full name of
// its user (the first field of GECOS), which may be empty. The error is ErrUnknown if there is none.
func FullName(ctx context.Context, name string) (account, full string, err error) {
	if u, err := user.Lookup(name); err == nil && isAbout(name, u.Username) {
		return u.Username, strings.TrimSpace(u.Name), nil
	}
	return database{getent}.fullName(ctx, name)
}

// GroupID finds a group's id by its name. The error is ErrUnknown if there is none.
func GroupID(ctx context.Context, name string) (uint32, error) {
	if g, err := user.LookupGroup(name); err == nil && isAbout(name, g.Name) {
		return number(g.Gid)
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

// local completes what os/user found.
func local(u *user.User) (*Account, error) {
	a := &Account{Name: u.Username, Home: u.HomeDir}
	var err error
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

// named asks for an entry by a name, never by a number, and takes no other's.
func (d database) named(ctx context.Context, table, name string, fields int) ([]string, error) {
	if !isName(name) {
		return nil, fmt.Errorf("%w: %s %q", ErrUnknown, table, name)
	}
	f, err := d.entry(ctx, table, name, fields)
	if err == nil && !isAbout(name, f[0]) {
		return nil, fmt.Errorf("%w: %s %q, for which the name services have %q", ErrUnknown, table, name, f[0])
	}
	return f, err
}

// entry asks for an entry by name or number, and returns its fields:
// "name:x:uid:gid:gecos:home:shell" of an account, "name:x:gid:members" of a group.
func (d database) entry(ctx context.Context, table, key string, fields int) ([]string, error) {
	line, err := d.ask(ctx, table, key)
	if err != nil {
		return nil, err
	}
	f := strings.Split(line, ":")
	if len(f) < fields {
		return nil, fmt.Errorf("the name services' entry for %q has %d fields instead of %d", key, len(f), fields)
	}
	return f, nil
}

// fullName asks for an account by name.
func (d database) fullName(ctx context.Context, name string) (account, full string, err error) {
	f, err := d.named(ctx, "passwd", name, 7)
	if err != nil {
		return "", "", err
	}
	full, _, _ = strings.Cut(f[4], ",")
	return f[0], strings.TrimSpace(full), nil
}

// user asks for an account by name.
func (d database) user(ctx context.Context, name string) (*Account, error) {
	f, err := d.named(ctx, "passwd", name, 7)
	if err != nil {
		return nil, err
	}
	return d.account(ctx, f)
}

// userID asks for an account by number.
func (d database) userID(ctx context.Context, id string) (*Account, error) {
	f, err := d.entry(ctx, "passwd", id, 7)
	if err != nil {
		return nil, err
	}
	return d.account(ctx, f)
}

// account completes an entry.
func (d database) account(ctx context.Context, f []string) (*Account, error) {
	a := &Account{Name: f[0], Home: f[5]}
	var err error
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

// group asks for a group by name.
func (d database) group(ctx context.Context, name string) (uint32, error) {
	f, err := d.named(ctx, "group", name, 3)
	if err != nil {
		return 0, err
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

// isName reports whether getent takes s for a name. It takes for a number whatever strtoul(3) reads to its end,
// which skips blanks and knows signs.
func isName(s string) bool {
	return s != "" && !strings.ContainsAny(s[:1], "+- \t\n\v\f\r") && strings.Trim(s, "0123456789") != ""
}

// isAbout reports whether found is the name that was asked for, but for a domain, DOMAIN\ before or @DOMAIN behind it,
// and the case of A to Z. A name service may know other letters without case: "\u212Aim" isn't kim.
func isAbout(asked, found string) bool { return asked == found || bare(asked) == bare(found) }

// bare is a name in lower case without its domain.
func bare(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	name = string(b)
	short := name[strings.LastIndexByte(name, '\\')+1:]
	if short, _, _ = strings.Cut(short, "@"); short == "" {
		return name
	}
	return short
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
