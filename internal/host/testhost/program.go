package testhost

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"vda.internal/shadow/internal/host/child"
	"vda.internal/shadow/internal/host/printed"
)

const (
	searchPath = "/usr/local/bin:/usr/bin:/bin:/usr/games"
	toolLimit  = 2 * time.Minute  // for one run of a tool
	waitLimit  = 10 * time.Minute // for what should happen soon
	outLimit   = 64 << 20         // bytes of a tool's output: an 8K screen with room
)

// packages names the Debian package of each tool that this package runs.
var packages = map[string]string{
	"Xvfb": "xvfb", "openbox": "openbox", "xdotool": "xdotool", "xinput": "xinput", "xprop": "x11-utils",
	"xwininfo": "x11-utils", "xclock": "x11-apps", "xeyes": "x11-apps",
	"xsetroot": "x11-xserver-utils", "xterm": "xterm", "x11vnc": "x11vnc", "Xtigervnc": "tigervnc-standalone-server",
}

// tool finds a program, or says which package it is in.
func tool(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	if pkg := packages[name]; pkg != "" {
		return "", fmt.Errorf("%s is not installed; do: apt-get install %s (%w)", name, pkg, err)
	}
	return "", fmt.Errorf("%s is not installed: %w", name, err)
}

// Env is the environment of a program in the desktop: DISPLAY, XAUTHORITY,
// HOME, PATH and a UTF-8 locale.
func (d *Desktop) Env() []string {
	return []string{
		"DISPLAY=" + d.Display, "XAUTHORITY=" + d.Xauthority, "HOME=" + d.Home,
		"PATH=" + searchPath, "LANG=C.UTF-8",
	}
}

// Spawn starts a program in the desktop, as its user. It runs until it ends by
// itself, is stopped, or Close ends it.
func (d *Desktop) Spawn(name string, args ...string) (*child.Process, error) {
	path, err := tool(name)
	if err != nil {
		return nil, err
	}
	return d.SpawnCmd(exec.Command(path, args...))
}

// SpawnCmd is Spawn for a prepared command. A nil Env becomes [Desktop.Env].
func (d *Desktop) SpawnCmd(cmd *exec.Cmd) (*child.Process, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	if cmd.Env == nil {
		cmd.Env = d.Env()
	}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = time.Second
	}
	p, err := child.Start(cmd, d.Identity)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	d.programs[p] = struct{}{}
	d.watchers.Go(func() { d.forget(p) })
	return p, nil
}

// forget takes p off the list when it has ended.
func (d *Desktop) forget(p *child.Process) {
	<-p.Done()
	d.mu.Lock()
	delete(d.programs, p)
	d.mu.Unlock()
}

// Run runs a tool in the desktop and returns its standard output. It is ended after two
// minutes or with ctx. Its error has the last that the tool wrote to standard error. The
// tool runs as the user of this process, who may read the desktop's cookie; [Desktop.Spawn]
// runs programs as the desktop's own.
func (d *Desktop) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := tool(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, toolLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	out := printed.Head{Max: outLimit, Strict: true}
	var said printed.Tail
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.WaitDelay = &out, &said, d.Env(), time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %w", name, context.Cause(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

// Until waits until f is true, asking it again and again: what is waited for is named
// in the error. It ends with f's error, with ctx, or after ten minutes.
func Until(ctx context.Context, what string, f func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := f()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
}
