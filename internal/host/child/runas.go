//go:build linux

package child

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/peer"
)

// Arg is the first argument of this program when it was executed to become
// another user and another program:
//
//	__run-as STATUS UID GID GROUPS NETWORK -- PATH ARGV0 [ARGUMENT]…
//
// STATUS is the descriptor of the socket to the parent, GROUPS has commas
// between the numbers, or is "-" for none, NETWORK is "alone" for a network
// namespace of its own and "-" for the parent's, and ARGV0 is the name under
// which PATH is executed.
const Arg = "__run-as"

// What NETWORK may be, and where it is among the arguments behind Arg.
const (
	networkAlone  = "alone"
	networkShared = "-"
	networkAt     = 4
)

// arguments are those of this program for cmd.
func arguments(cmd *exec.Cmd, id Identity, alone bool, status int) []string {
	groups := make([]string, len(id.Groups))
	for i, g := range id.Groups {
		groups[i] = strconv.FormatUint(uint64(g), 10)
	}
	list := strings.Join(groups, ",")
	if list == "" {
		list = "-"
	}
	network := networkShared
	if alone {
		network = networkAlone
	}
	argv := []string{os.Args[0], Arg, strconv.Itoa(status), strconv.FormatUint(uint64(id.UID), 10), strconv.FormatUint(uint64(id.GID), 10), list, network, "--", cmd.Path}
	if len(cmd.Args) == 0 {
		return append(argv, cmd.Path)
	}
	return append(argv, cmd.Args...)
}

// A order is what the arguments say.
type order struct {
	status int
	id     Identity
	alone  bool
	path   string
	argv   []string
}

// parseOrder reads the arguments behind Arg.
func parseOrder(args []string) (o order, err error) {
	if len(args) < 8 || args[5] != "--" {
		return o, errors.New("the arguments are incomplete")
	}
	network := args[networkAt]
	if network != networkAlone && network != networkShared {
		return o, fmt.Errorf("%q isn't a network", network)
	}
	var numbers [3]uint32
	for i := range numbers {
		if numbers[i], err = number(args[i]); err != nil {
			return o, err
		}
	}
	o = order{status: int(numbers[0]), id: Identity{UID: numbers[1], GID: numbers[2]}, alone: network == networkAlone, path: args[6], argv: args[7:]}
	if args[3] == "-" {
		return o, nil
	}
	for s := range strings.SplitSeq(args[3], ",") {
		g, err := number(s)
		if err != nil {
			return o, err
		}
		o.id.Groups = append(o.id.Groups, g)
	}
	return o, nil
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 { // which means none to the kernel
		return 0, fmt.Errorf("%q isn't a number of a user or group", s)
	}
	return uint32(n), nil
}

// The main goroutine runs this, on the main thread.
func init() {
	if len(os.Args) < 2 || os.Args[1] != Arg {
		return
	}
	o, err := parseOrder(os.Args[2:])
	var parent int
	if err == nil {
		parent, err = authority(o.status)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s %s is for this program's own use: %v\n", os.Args[0], Arg, err)
		os.Exit(2)
	}
	o.follow(parent)
}

// authority checks that the parent process has made the socket, as the user who
// runs this one, and returns the parent's id. Whoever may run this program with
// chosen arguments, through sudo say, hasn't.
func authority(fd int) (parent int, err error) {
	cred, err := peer.OfDescriptor(fd)
	if err != nil {
		return 0, fmt.Errorf("descriptor %d is no socket of the parent's: %w", fd, err)
	}
	if own := uint32(os.Geteuid()); cred.Uid != own || uint32(os.Getuid()) != own {
		return 0, fmt.Errorf("the socket was made by uid %d", cred.Uid)
	}
	if int(cred.Pid) != os.Getppid() {
		return 0, fmt.Errorf("the socket was made by process %d, which isn't the parent", cred.Pid)
	}
	return int(cred.Pid), nil
}

// follow becomes what o says. It returns only in a process that goes on as this
// program.
func (o order) follow(parent int) {
	if o.alone {
		o.fail(leaveNetwork())
	}
	unix.CloseOnExec(o.status) // the parent sees that it is closed
	if err := o.become(parent); err != nil {
		o.fail(err)
	}
	if o.path == Self {
		os.Args = o.argv
		_ = unix.Close(o.status)
		return
	}
	o.fail(os.NewSyscallError("exec", syscall.Exec(o.path, o.argv, os.Environ())))
}

// leaveNetwork begins anew in a network namespace of its own, and returns if that fails. A namespace is its
// thread's; so the thread executes this program once more, and all that come are in it.
func leaveNetwork() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	argv := slices.Clone(os.Args)
	argv[2+networkAt] = networkShared
	return os.NewSyscallError("exec", syscall.Exec(Self, argv, os.Environ()))
}

// become gives up the rights of root, and makes sure that the process ends with
// its parent.
func (o order) become(parent int) error {
	if os.Geteuid() == 0 {
		groups := make([]int, len(o.id.Groups))
		for i, g := range o.id.Groups {
			groups[i] = int(g)
		}
		uid, gid := int(o.id.UID), int(o.id.GID)
		// These concern all threads.
		if err := syscall.Setgroups(groups); err != nil {
			return os.NewSyscallError("setgroups", err)
		}
		if err := syscall.Setresgid(gid, gid, gid); err != nil {
			return os.NewSyscallError("setresgid", err)
		}
		if err := syscall.Setresuid(uid, uid, uid); err != nil {
			return os.NewSyscallError("setresuid", err)
		}
	}
	if uint32(os.Geteuid()) != o.id.UID || uint32(os.Getuid()) != o.id.UID {
		return os.NewSyscallError("setresuid", unix.EPERM)
	}
	// The change of the user has made the process undumpable, unless fs.suid_dumpable is 1.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl(PR_SET_DUMPABLE)", err)
	}
	// It has also taken the death signal back.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl(PR_SET_PDEATHSIG)", err)
	}
	if os.Getppid() != parent {
		os.Exit(1) // it is dead, and nobody listens
	}
	return nil
}

// fail tells the parent the step that failed and the error's number, and exits.
func (o order) fail(err error) {
	step, errno := "run", unix.EINVAL
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		step = e.Syscall
	}
	if n, ok := errors.AsType[syscall.Errno](err); ok {
		errno = n
	}
	_, _ = unix.Write(o.status, fmt.Appendf(nil, "%s %d", step, int(errno)))
	os.Exit(1)
}

// status is the socket over which the child says what failed.
type status struct{ ours, theirs *os.File }

func newStatus() (*status, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	_ = unix.SetNonblock(fds[0], true) // for the runtime's poller, which has the deadline
	return &status{os.NewFile(uintptr(fds[0]), "status"), os.NewFile(uintptr(fds[1]), "status")}, nil
}

// read returns when the child has executed the program at path, or why it hasn't.
func (s *status) read(path string) error {
	s.theirs.Close()
	if err := s.ours.SetReadDeadline(time.Now().Add(startTime)); err != nil {
		return err
	}
	said, err := io.ReadAll(io.LimitReader(s.ours, 128))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %s", errStart, path)
	}
	if len(said) == 0 {
		return nil // it was closed by exec, or by an end that Done tells about
	}
	step, code, _ := strings.Cut(string(said), " ")
	errno, err := strconv.Atoi(code)
	if err != nil {
		return fmt.Errorf("starting %s failed: %.60q", path, said)
	}
	return &fs.PathError{Op: step, Path: path, Err: syscall.Errno(errno)}
}

func (s *status) close() {
	s.ours.Close()
	s.theirs.Close()
}
