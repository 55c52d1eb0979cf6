package tlsstore_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/tlsstore"
)

// loadVariable makes the test's program load the store in a directory and
// print the error, as the user that it was started as.
const loadVariable = "TLSSTORE_TEST_LOAD"

// loadAndPrint prints the code and remedy of what is wrong with a store.
func loadAndPrint(dir string) {
	_, err := (&tlsstore.Store{Dir: dir}).Load("")
	var le *tlsstore.LoadError
	if errors.As(err, &le) {
		fmt.Printf("%s\n%s", le.Findings[0].Code, le.Findings[0].Remedy)
	}
}

// A service that isn't root's is told what to do, and what it is told works.
func TestRemediesForAService(t *testing.T) {
	testenv.Root(t)
	const uid, gid, other = 990, 991, 12345
	top, err := os.MkdirTemp("", "tlsstore") // where everybody may enter, unlike in t.TempDir's
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	require.NoError(t, os.Chmod(top, 0o755))
	program := filepath.Join(top, "program")
	copyFile(t, "/proc/self/exe", program)

	for _, tc := range []struct {
		name              string
		keyUID, keyGID    int
		keyMode           os.FileMode
		dirUID            int
		dirMode, certMode os.FileMode
		code              tlsstore.Code // "": it is loaded at once
	}{
		{"its own", uid, gid, 0o600, 0, 0o755, 0o644, ""},
		{"root's, for its group", 0, gid, 0o640, 0, 0o755, 0o644, ""},
		{"root's alone", 0, 0, 0o600, 0, 0o755, 0o644, tlsstore.Unreadable},
		{"another group's", 0, other, 0o640, 0, 0o755, 0o644, tlsstore.Unreadable},
		{"everybody's", 0, 0, 0o644, 0, 0o755, 0o644, tlsstore.BadMode},
		{"its own, with its group", uid, gid, 0o640, 0, 0o755, 0o644, tlsstore.BadMode},
		{"another user's", other, gid, 0o640, 0, 0o755, 0o644, tlsstore.BadOwner},
		{"in another user's directory", 0, gid, 0o640, other, 0o755, 0o644, tlsstore.BadOwner},
		{"in everybody's directory", 0, gid, 0o640, 0, 0o777, 0o644, tlsstore.BadMode},
		{"in a directory that is closed", 0, gid, 0o640, 0, 0o700, 0o644, tlsstore.NoDir},
		{"a certificate for others to write", 0, gid, 0o640, 0, 0o755, 0o666, tlsstore.BadMode},
		{"a certificate that is closed", 0, gid, 0o640, 0, 0o755, 0o600, tlsstore.Unreadable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := dir{t, filepath.Join(top, tc.name)} // with blanks and quotes, which a shell takes for its own
			require.NoError(t, os.Mkdir(d.path, 0o755))
			d.pair(issue(t, nil, nil, nil))
			require.NoError(t, os.Chmod(d.file("shadowingcert.pem"), tc.certMode))
			require.NoError(t, os.Chown(d.file("shadowingkey.pem"), tc.keyUID, tc.keyGID))
			require.NoError(t, os.Chmod(d.file("shadowingkey.pem"), tc.keyMode))
			require.NoError(t, os.Chown(d.path, tc.dirUID, 0))
			require.NoError(t, os.Chmod(d.path, tc.dirMode))
			tried := func() (code tlsstore.Code, remedy string) {
				cmd := exec.CommandContext(t.Context(), program)
				cmd.Env = []string{loadVariable + "=" + d.path}
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
				out, err := cmd.Output()
				require.NoError(t, err)
				first, remedy, _ := strings.Cut(string(out), "\n")
				return tlsstore.Code(first), remedy
			}
			code, remedy := tried()
			assert.Equal(t, tc.code, code, remedy)
			if tc.code == "" {
				return
			}
			_, command, ok := strings.Cut(remedy, ": ")
			require.True(t, ok, remedy)
			out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
			require.NoError(t, err, "%s: %s", command, out)
			code, remedy = tried()
			assert.Empty(t, code, "%s did not help: %s", command, remedy)
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	src, err := os.Open(from)
	require.NoError(t, err)
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(dst, src)
	require.NoError(t, errors.Join(err, dst.Close()))
}
