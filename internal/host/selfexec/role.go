// Package selfexec starts this program again in another role.
package selfexec

import (
	"os"
	"os/exec"
	"sync/atomic"
)

// Path is this program.
const Path = "/proc/self/exe"

// A Role is what this program is when it has started itself again with Arg as its first argument: a
// question, a capture, a look at a display. Its package has a function that main calls first thing, and
// that asks [Role.Taken].
type Role struct {
	Arg   string
	ready atomic.Bool
}

// Taken reports whether this process is to play the role, and returns the arguments that follow Arg. If it
// isn't, this program can be started for the role from now on.
func (r *Role) Taken() (args []string, taken bool) {
	if len(os.Args) > 1 && os.Args[1] == r.Arg {
		return os.Args[2:], true
	}
	r.ready.Store(true)
	return nil, false
}

// Ready reports whether this program's main has called Taken: another one wouldn't know what to do.
func (r *Role) Ready() bool { return r.ready.Load() }

// Command is this program in the role.
func (r *Role) Command(args ...string) *exec.Cmd {
	return exec.Command(Path, append([]string{r.Arg}, args...)...)
}
