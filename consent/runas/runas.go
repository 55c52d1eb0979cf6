// Package runas runs a command as a session's user, for [consent.Exec]:
//
//	ask := consent.Exec{Command: []string{"/usr/local/bin/ask"}, Run: runas.Run}
//
// It is apart from package consent so that only a program that asks by a command links what that takes:
// this program executes itself to change the user (see [Run]), and follows its children by pidfd.
package runas

import (
	"context"
	"os/exec"

	"vda.internal/shadow/consent"
	"vda.internal/shadow/consent/internal/runner"
	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/named"
)

const pkg = named.Package("runas")

// Run runs cmd as r's user in the directory / with exactly the environment cmd.Env, and returns once it has
// ended and has been reaped. When ctx ends, its process group gets SIGTERM, and SIGKILL half a second later;
// the kernel kills it if this process dies. Another user than this process's own needs root; UID 0 is refused
// unless r.User is root.
//
// The error is nil for exit status 0 and an [*exec.ExitError] for any other end. It is something else if the
// command can't be run, or was killed and is held by a debugger or the kernel.
//
// Go's fork would change the user while this process's thread waits, which that user could make last for ever.
// So Run executes this program (/proc/self/exe) again, which changes the user and then executes the command.
func Run(ctx context.Context, cmd *exec.Cmd, r consent.Request) error {
	p, err := runner.Run(ctx, cmd, child.User(r.User, r.UID, r.GID, r.Groups), nil)
	if err != nil {
		return pkg.Errorf("%w", err)
	}
	return p.Err()
}
