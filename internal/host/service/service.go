// Package service asks systemd what it gives shadowd's service and what it takes from it, for those that
// look at a configuration from outside the service, with more rights than it has:
//
//	unit := service.Look(ctx)
//	if directive := unit.ReadOnly(path); directive != "" {
//		fmt.Println(path, "can't be written by the service:", directive)
//	}
package service

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"vda.internal/shadow/internal/host/program"
)

// Name is that of the unit.
const Name = "shadowd.service"

// Credentials is where systemd has put what it hands over to the service, while that runs.
const Credentials = "/run/credentials/" + Name

// A Unit is what systemd knows of the service. That of a host without the service takes nothing.
type Unit struct {
	properties map[string]string
	text       string // of its files
}

// Show asks systemd about properties of a unit. An old systemd leaves out what it doesn't know. Nil
// means that there is no systemd in path, which is as PATH is (empty: the usual one), or that it doesn't answer.
func Show(ctx context.Context, path, unit string, properties ...string) map[string]string {
	out := ask(ctx, path, "show", unit, "--property="+strings.Join(properties, ","))
	if out == "" {
		return nil
	}
	all := map[string]string{}
	for line := range strings.Lines(out) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			all[name] = value
		}
	}
	return all
}

// Look asks systemd about the unit, drop-ins included.
func Look(ctx context.Context) Unit {
	path := os.Getenv("PATH")
	u := Unit{properties: Show(ctx, path, Name, "LoadState", "CapabilityBoundingSet", "ProtectSystem", "ProtectHome", "ReadWritePaths", "ReadWriteDirectories")}
	if u.properties["LoadState"] != "loaded" {
		return Unit{}
	}
	u.text = ask(ctx, path, "cat", Name)
	return u
}

// ask is what systemctl prints; "": nothing.
func ask(ctx context.Context, path string, args ...string) string {
	systemctl := program.Find(path, "systemctl")
	if !filepath.IsAbs(systemctl) {
		return ""
	}
	out, err := program.Output(ctx, program.Command{Path: systemctl, Args: args})
	if err != nil {
		return "" // not booted with systemd
	}
	return string(out)
}

// HandsOver reports whether systemd hands the service a credential (systemd.exec(5)) of that name.
func (u Unit) HandsOver(credential string) bool {
	given := false
	for line := range strings.Lines(u.text) {
		directive, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch strings.TrimSpace(directive) {
		case "LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted":
			name, _, _ := strings.Cut(strings.TrimSpace(value), ":")
			given = given && name != "" || name == credential // an empty one takes those before it back
		}
	}
	return given
}

// bindsLow is CAP_NET_BIND_SERVICE.
const bindsLow = 10

// BindsLow reports whether the service may listen on ports that are root's.
func (u Unit) BindsLow() bool {
	set, known := u.properties["CapabilityBoundingSet"]
	if bits, err := strconv.ParseUint(set, 10, 64); err == nil { // systemd before 230
		return bits&(1<<bindsLow) != 0
	}
	return !known || slices.Contains(strings.Fields(set), "cap_net_bind_service")
}

// What the directives take, of which "strict" takes more than is looked at here.
var (
	system = map[string][]string{"yes": {"/usr", "/boot", "/efi"}, "full": {"/usr", "/boot", "/efi", "/etc"}, "strict": {"/usr", "/boot", "/efi", "/etc"}}
	homes  = []string{"/home", "/root", "/run/user"}
)

// ReadOnly is the directive by which the service can't write to path, or make it; "": it may.
func (u Unit) ReadOnly(path string) string {
	path = target(path)
	if writable := u.properties["ReadWritePaths"] + " " + u.properties["ReadWriteDirectories"]; slices.ContainsFunc(strings.Fields(writable), func(dir string) bool {
		return within(path, target(strings.TrimLeft(dir, "-+")))
	}) {
		return ""
	}
	below := func(dirs []string) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return within(path, dir) })
	}
	if value := u.properties["ProtectSystem"]; below(system[value]) {
		return "ProtectSystem=" + value
	}
	if value := u.properties["ProtectHome"]; value != "" && value != "no" && below(homes) {
		return "ProtectHome=" + value
	}
	return ""
}

// target is path with what is there of it followed to where it leads.
func target(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(target(dir), filepath.Base(path))
	}
	return path
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
