package rig_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A program of Go asks the kernel for the time by no way that a test could put itself in: it calls no C library, and a time
// namespace leaves the clock on the wall as it is. So the programs of TestFaults are built with a package time that
// adds what a file says. Their own sources are as ever.
const clockVariable = "SHADOW_TEST_CLOCK" // names the file: seconds, eight bytes

const clockSource = `package time

import (
	"syscall"
	"unsafe"
)

var ahead = func() *int64 {
	path, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("time: " + path + ": " + err.Error())
	}
	data, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("time: " + path + ": " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&data[0]))
}()
`

// buildWithClocks is build of programs whose clocks can be set.
var buildWithClocks = sync.OnceValue(func() error {
	if os.Getenv(builtVariable) != "" {
		return build()
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	from := filepath.Join(strings.TrimSpace(string(root)), "src/time")
	source, err := os.ReadFile(filepath.Join(from, "time.go"))
	if err != nil {
		return err
	}
	const ask = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	changed := strings.Replace(string(source), ask, ask+"\tsec += *ahead\n", 1)
	overlay := map[string]string{}
	for name, text := range map[string]string{"time.go": changed, "ahead.go": clockSource} {
		path := filepath.Join(programs, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		overlay[filepath.Join(from, name)] = path
	}
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return err
	}
	file := filepath.Join(programs, "overlay.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	return buildWith("-overlay", file)
})

// A clock is one machine's.
type clock string

// newClock makes a clock that is right.
func newClock(t *testing.T, path string) clock {
	c := clock(path)
	c.set(t, 0)
	return c
}

// set has it be ahead.
func (c clock) set(t *testing.T, ahead time.Duration) {
	t.Helper()
	f, err := os.OpenFile(string(c), os.O_WRONLY|os.O_CREATE, 0o600)
	require.NoError(t, err)
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(ahead/time.Second)), 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func (c clock) env() string { return clockVariable + "=" + string(c) }
