package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vda.internal/shadow/internal/ctxreg"
	"vda.internal/shadow/internal/host/strict"
)

// judge says which of the file at path and the programs that it names could be changed by
// somebody else, who could then do what root may. A program that isn't there is somebody
// else's to find.
func (c *Config) judge(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	errs := []error{one(path, strict.Check(path))}
	program := func(key, path string) {
		if err := strict.Check(path); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, one(key, err))
		}
	}
	if c.Settings == "ctxreg" {
		program("ctxreg", cmp.Or(c.Ctxreg, ctxreg.DefaultPath))
	}
	// An interpreter's script is a word like any other: what begins at the root is judged if it is a file.
	command := func(key string, words []string) {
		for i, word := range words {
			if i > 0 {
				if info, err := os.Stat(word); !filepath.IsAbs(word) || err != nil || !info.Mode().IsRegular() {
					continue
				}
			}
			program(key, word)
		}
	}
	if c.Consent.Prompter == "exec" {
		command("consent.exec", c.Consent.Exec)
	}
	if c.Sessions.Resolver == "exec" {
		command("sessions.exec", c.Sessions.Exec)
	}
	if c.Source.X11VNC != "" {
		program("source.x11vnc", c.Source.X11VNC)
	}
	return errors.Join(errs...)
}

func one(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
