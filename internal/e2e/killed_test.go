package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A daemon that is killed takes what talks to sessions with it.
func TestKilledDaemonLeavesNoChild(t *testing.T) {
	t.Parallel()
	session, other := desktop(t), desktop(t)
	d := startDaemon(t, options{}, session, other)
	view(t, d.grantWithYes("s1", "alice", session).URL)
	d.ask("s2", "bob")
	question(t, other)
	children := childrenOf(d.cmd.Process.Pid)
	require.Len(t, children, 2, "the source and the question")
	d.kill()
	for _, pid := range children {
		eventually(t, "the child is gone", func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
			return err != nil
		})
	}
}
