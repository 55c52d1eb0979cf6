package rfb

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeGo is a go command whose fuzz targets end in every way that there is.
const fakeGo = `#!/bin/bash
fuzzed() {
	echo 'fuzz: elapsed: 0s, gathering baseline coverage: 2/2 completed, now fuzzing with 2 workers'
	echo "fuzz: elapsed: 3s, execs: $1 (5/sec), new interesting: 0 (total: 2)"
}
case "$*" in
*-list*) printf '%s\n' FuzzGood FuzzLate FuzzFound FuzzSeed FuzzLateAndFound FuzzIdle FuzzSlow FuzzNone FuzzLast 'ok package' ; exit ;;
*FuzzIdle*) fuzzed 0; exit ;;
*FuzzSlow*) echo 'fuzz: elapsed: 3s, execs: 7 (2/sec), new interesting: 0 (total: 7)'; exit ;;
*FuzzNone*) echo 'testing: warning: no fuzz tests to fuzz'; exit ;;
esac
fuzzed 15
case "$*" in
*FuzzLate\$*) printf '%s\n' '--- FAIL: FuzzLate (1.00s)' '    context deadline exceeded' FAIL; exit 1 ;;
*FuzzLateAndFound*) mkdir -p p/testdata/fuzz/FuzzLateAndFound; echo x > p/testdata/fuzz/FuzzLateAndFound/1
	printf '%s\n' '--- FAIL' '    context deadline exceeded'; exit 1 ;;
*FuzzFound*) mkdir -p p/testdata/fuzz/FuzzFound; echo x > p/testdata/fuzz/FuzzFound/1; exit 1 ;;
*FuzzSeed*) printf '%s\n' '--- FAIL: FuzzSeed' '    --- FAIL: FuzzSeed/1' '    context deadline exceeded'; exit 1 ;;
esac
`

// make fuzz runs every target, and takes no end of the time for a failure.
func TestFuzzingGoesOnAndSumsUp(t *testing.T) {
	script, err := filepath.Abs("../.ci/fuzz")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), []byte(fakeGo), 0o755))
	run := func(args ...string) (string, error) {
		cmd := exec.Command(script, args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("1m", "p")
	assert.Error(t, err)
	assert.Contains(t, out, "== p FuzzLast\n")
	assert.Contains(t, out, "== 9 targets, 1m each; 6 failed\np FuzzFound: see p/testdata/fuzz/FuzzFound\np FuzzSeed\n"+
		"p FuzzLateAndFound: see p/testdata/fuzz/FuzzLateAndFound\n"+
		"p FuzzIdle: never fuzzed\np FuzzSlow: never fuzzed\np FuzzNone: never fuzzed\n")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), []byte("#!/bin/sh\ncase \"$*\" in *-list*) echo FuzzA;; *) echo now fuzzing with 2 workers; echo 'fuzz: elapsed: 1s, execs: 1 (1/sec)' ;; esac\n"), 0o755))
	out, err = run("1m", "p", "q")
	assert.NoError(t, err)
	assert.Contains(t, out, "== 2 targets, 1m each; 0 failed\n")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), []byte("#!/bin/sh\necho it does not build; exit 1\n"), 0o755))
	out, err = run("1m", "p")
	assert.Error(t, err)
	assert.Contains(t, out, "it does not build\n== 0 targets, 1m each; 1 failed\np: no targets, see above\n")
}
