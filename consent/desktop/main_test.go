package desktop

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vda.internal/shadow/consent/desktop/internal/dialog"
)

// quick is an X11 whose child doesn't sleep for a second when it exits, as programs built
// with -race do. The child of the zero X11 runs with an environment that can't say so.
var quick X11

// sleepy is like quick. Its banner looks at nothing but what the X server has told it of.
var sleepy X11

// sleepyArg is [ChildArg] for that one.
const sleepyArg = "__consent-prompt-sleepy"

// wary is like quick, but its question takes no input in its first ten seconds instead of the first half.
var wary X11

// waryArg is [ChildArg] for that one.
const (
	waryArg   = "__consent-prompt-wary"
	waryGuard = 10 * time.Second
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == sleepyArg {
		os.Args[1], dialog.RareTime = ChildArg, time.Hour
	}
	if len(os.Args) == 2 && os.Args[1] == waryArg {
		os.Args[1], dialog.GuardTime = ChildArg, int32(waryGuard.Milliseconds())
	}
	Child()
	if len(os.Args) > 2 && os.Args[1] == hostileArg {
		code := 0
		if err := hostileClient(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		syscall.Exit(code) // without that sleep
	}
	code := 1
	if err := setUp(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	// A benchmark has a connection of xgb's, which leaves goroutines behind.
	if code == 0 && flag.Lookup("test.bench").Value.String() == "" {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if len(quick.Command) > 0 {
		os.RemoveAll(filepath.Dir(quick.Command[2]))
	}
	os.Exit(code)
}

// setUp puts a copy of this program where every user can run it, for quick, and lets
// more tests run at once than there are processors: they mostly wait for a desktop.
func setUp() error {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		return err
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "consent-test-")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "prompt")
	quick.Command = []string{"/usr/bin/env", "GORACE=atexit_sleep_ms=0", path, ChildArg}
	wary.Command = []string{"/usr/bin/env", "GORACE=atexit_sleep_ms=0", path, waryArg}
	sleepy.Command = []string{"/usr/bin/env", "GORACE=atexit_sleep_ms=0", path, sleepyArg}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, program, 0o755)
}
