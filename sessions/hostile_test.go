package sessions

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/host/xsession"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testlogind"
)

// tree runs a process of an account's with that many children, all with that environment, until the test
// ends, and returns its number and its user's.
func tree(t *testing.T, name string, children int, env ...string) (leader, uid uint32) {
	t.Helper()
	testenv.Root(t)
	u, err := user.Lookup(name)
	require.NoError(t, err)
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	require.NoError(t, err)
	cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf(`i=0; while [ $i -lt %d ]; do cat <&3 & i=$((i+1)); done; echo ready; wait`, children))
	cmd.Env = env
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}}
	held, hold, err := os.Pipe() // whose end is the children's
	require.NoError(t, err)
	cmd.ExtraFiles = []*os.File{held}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = t.Output()
	require.NoError(t, cmd.Start())
	_ = held.Close()
	t.Cleanup(func() {
		_ = hold.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return uint32(cmd.Process.Pid), uint32(id)
}

// A user of whose processes it takes for ever to look at the environments, in many sessions, loses his own
// displays, with the reason, and nobody else's: neither the list fails nor anything in it.
func TestManyHugeProcesses(t *testing.T) {
	const many = 60
	var huge []string
	for i := range 9 {
		huge = append(huge, fmt.Sprintf("V%d=%s", i, strings.Repeat("x", 120<<10)))
	}
	mallory, malloryUID := tree(t, "nobody", 400, huge...)
	alice, aliceUID := tree(t, "daemon", 3, "DISPLAY=:5", "XAUTHORITY=/run/alice", "LANG=de_AT.UTF-8")
	logind := testlogind.Start(t)
	for i := range many {
		logind.Add(strconv.Itoa(100+i), malloryUID, map[string]any{"Leader": mallory, "Display": ""})
	}
	logind.Add("c1000", aliceUID, map[string]any{"Leader": alice, "Display": ":5"})

	list, err := (&Logind{Address: logind.Address}).Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, list, many+1)
	last := list[many]
	assert.Nil(t, last.Refusal())
	assert.Equal(t, ":5", last.Display)
	assert.Equal(t, "/run/alice", last.Xauthority)
	assert.Equal(t, "de_AT.UTF-8", last.Locale)
	slow := list[many-1].Refusal()
	for _, s := range list[:many] {
		r := s.Refusal()
		require.NotNil(t, r, s.ID)
		assert.Equal(t, shadow.DisplayUnreachable, r.Reason)
		if errors.Is(r.Err, xsession.ErrTooSlow) {
			slow = r
		}
	}
	require.ErrorIs(t, slow.Err, xsession.ErrTooSlow)
	assert.Contains(t, slow.Detail, "its display and cookie were not found")
}

// More sessions than are looked at in one list, all but one of them a single user's: each user has some that
// are, the others say why not, and any is found by its id.
func TestMoreSessionsThanAreLookedAt(t *testing.T) {
	uid := someUser(t)
	logind := testlogind.Start(t)
	const over = 3
	for i := range maxLogindResult + over - 1 {
		logind.Add(strconv.Itoa(i), 4000000000, nil)
	}
	root := t.TempDir()
	fakeProcess(t, root, 100, 1, uid, "DISPLAY=:5", "XAUTHORITY=/run/cookie")
	logind.Add("z", uid, map[string]any{"Leader": uint32(100), "Display": ":5"})
	resolver := &Logind{Address: logind.Address, Timeout: time.Minute, root: root}
	list, err := resolver.Sessions(t.Context())
	require.NoError(t, err)
	require.Len(t, list, maxLogindResult+over)
	left := 0
	for _, s := range list {
		switch r := s.Refusal(); {
		case s.ID == "z":
			assert.Nil(t, r)
			assert.Equal(t, "/run/cookie", s.Xauthority)
		case r.Reason == shadow.DisplayUnreachable:
			assert.Equal(t, fmt.Sprintf("logind lists %d sessions; %d of them are looked at, each user's first ones before others' further ones", maxLogindResult+over, maxLogindResult), r.Detail)
			left++
		}
	}
	assert.Equal(t, over, left)
	for _, id := range []string{"z", strconv.Itoa(maxLogindResult + 1)} {
		s, err := resolver.look(t.Context(), func(s string) bool { return s == id })
		require.NoError(t, err)
		require.Len(t, s, 1)
	}
}
