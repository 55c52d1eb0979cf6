package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// admin is the demo's administrator, who may do everything.
const admin = "alice"

// A gate is shadowgate as the demo runs it: in front of the demo's shadowd, on a port of its own
// that only this machine reaches.
type gate struct {
	service
	dir      string // configuration, accounts and state
	address  string // host:port
	password string // admin's, for this demo only
}

// ready is how shadowgate says where it listens.
var ready = regexp.MustCompile(`"address":"http://([^"]+)".*"message":"ready"`)

// startGate starts shadowgate in front of a control socket and returns when it answers.
func startGate(ctx context.Context, path, socket string) (*gate, error) {
	path, err := built(path)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "shadowgate-")
	if err != nil {
		return nil, err
	}
	g := &gate{dir: dir, password: strings.ToLower(rand.Text()[:12])}
	file := filepath.Join(dir, "shadowgate.toml")
	if err := g.configure(ctx, path, file, socket); err != nil {
		return nil, errors.Join(err, g.stop())
	}
	err = g.start(ctx, path, []string{"--config", file}, func(context.Context) bool {
		m := ready.FindStringSubmatch(g.log.String())
		if m != nil {
			g.address = m[1]
		}
		return m != nil
	})
	if err != nil {
		return nil, errors.Join(err, g.stop())
	}
	return g, nil
}

// configure writes the configuration and makes the administrator's account.
func (g *gate) configure(ctx context.Context, path, file, socket string) error {
	config, err := toml.Marshal(table{
		"web":      table{"listen": "127.0.0.1:0"},
		"accounts": table{"file": filepath.Join(g.dir, "accounts")},
		"tokens":   table{"file": ""},
		"local":    table{"socket": socket, "name": hostName, "address": "127.0.0.1"},
		"state":    table{"dir": filepath.Join(g.dir, "state")},
		"access":   []table{{"names": []string{admin}, "may": []string{"list", "shadow", "audit", "stop"}}},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, "--config", file, "passwd", admin)
	cmd.Stdin = strings.NewReader(g.password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("shadowgate passwd: %w\n%s", err, out)
	}
	return nil
}

// stop ends shadowgate and removes its files.
func (g *gate) stop() error { return errors.Join(g.end(), os.RemoveAll(g.dir)) }
