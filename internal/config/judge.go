package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
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
		return fmt.Errorf("config: %w", err)
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
	if c.Consent.Prompter == "exec" && len(c.Consent.Exec) > 0 {
		program("consent.exec", c.Consent.Exec[0])
	}
	if c.Sessions.Resolver == "exec" && len(c.Sessions.Exec) > 0 {
		program("sessions.exec", c.Sessions.Exec[0])
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
	return fmt.Errorf("config: %s: %w", what, err)
}
