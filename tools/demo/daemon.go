package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/pelletier/go-toml/v2"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/testhost"
)

// hostName is what the user and the administrator are told that this machine is called.
const hostName = "vda1.corp.example"

// session is the desktop's name in the control API.
const session = "demo"

type table map[string]any

// A daemon is shadowd as the demo runs it.
type daemon struct {
	service
	client api.Client
	dir    string // configuration and socket
}

// startDaemon starts shadowd for one desktop and returns when it answers. Its ports are open to this
// machine only, where the gate is.
func startDaemon(ctx context.Context, path string, d *testhost.Desktop) (*daemon, error) {
	path, err := built(path)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "shadowd-")
	if err != nil {
		return nil, err
	}
	s := &daemon{dir: dir, client: api.Client{Socket: filepath.Join(dir, "control.sock")}}
	config, err := configuration(d, s.client.Socket)
	file := filepath.Join(dir, "shadowing.toml")
	if err == nil {
		err = os.WriteFile(file, config, 0o600)
	}
	if err == nil {
		err = s.start(ctx, path, []string{"--config", file}, func(ctx context.Context) bool {
			_, err := s.client.Sessions(ctx)
			return err == nil
		})
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// configuration is shadowd's configuration file.
func configuration(d *testhost.Desktop, socket string) ([]byte, error) {
	owner, err := user.LookupId(strconv.Itoa(int(d.Identity.UID)))
	if err != nil {
		return nil, fmt.Errorf("the desktop's user: %w", err)
	}
	return toml.Marshal(table{
		"ports":  table{"listen": "127.0.0.1"},
		"viewer": table{"host": hostName},
		"sessions": table{
			"resolver": "static",
			"static":   []table{{"id": session, "display": d.Display, "user": owner.Username, "xauthority": d.Xauthority}},
		},
		"control": table{"socket": socket},
	})
}

// stop ends shadowd and removes its files.
func (s *daemon) stop() error { return errors.Join(s.end(), os.RemoveAll(s.dir)) }
