package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxHead is how much of a program is looked at: the kernel reads no more of a #! line.
const maxHead = 256

// fit reports why a program can't be run, and what to do. users is set if sessions' users run
// it, and not root alone.
func fit(path string, users bool) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%w; correct the path", errors.Unwrap(err))
	case !info.Mode().IsRegular():
		return errors.New("it isn't a file; correct the path")
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("permission denied; do chmod 755 %s", path)
	}
	if users {
		if err := reachable(path); err != nil {
			return err
		}
	}
	return interpreted(path)
}

// reachable reports what keeps users from a program. Who is in a group isn't known here.
func reachable(path string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for at := path; ; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && info.Mode()&0o011 == 0 {
			return fmt.Errorf("sessions' users run it, and %s (mode %04o) is closed to them; do chmod 755 %[1]s", at, info.Mode().Perm())
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// interpreted looks at the first line of a script.
func interpreted(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil // to be read isn't needed to be run
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, maxHead))
	if err != nil || bytes.IndexByte(head, 0) >= 0 {
		return err
	}
	line, _, _ := strings.Cut(string(head), "\n")
	words, isScript := strings.CutPrefix(line, "#!")
	if !isScript {
		return errors.New("it is a script without a first line such as #!/bin/sh; add one")
	}
	name, _, _ := strings.Cut(strings.Trim(words, " \t"), " ") // and not of \r, which the kernel takes for a part
	if info, err := os.Stat(name); err != nil || info.Mode()&0o111 == 0 {
		return fmt.Errorf("its first line names %q, which isn't there or isn't a program; correct the line", name)
	}
	return nil
}
