package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"vda.internal/shadow/internal/host/program"
	"vda.internal/shadow/internal/host/service"
)

// A served is a service that is looked at.
type served struct {
	check string // name of its checks
	name  string // of its program, and its unit without ".service"
	fault State  // what it is when it doesn't run
}

// The packages' services. A shadow works without the console.
var (
	shadowd    = served{"service", "shadowd", Bad}
	shadowgate = served{"console", "shadowgate", Note}
)

func (s served) unit() string { return s.name + ".service" }

// unitProperties are what systemd is asked about one.
var unitProperties = []string{"LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts", "UnitFileState", "NeedDaemonReload", "FragmentPath", "MainPID"}

// A unit is what systemd knows of a service, by property.
type unit map[string]string

// unit asks systemd. It is empty if there is none, or if it doesn't answer.
func (d *Doctor) unit(ctx context.Context, s served) unit {
	u := unit{}
	for name, value := range service.Show(ctx, d.host.path, s.unit(), unitProperties...) {
		u[name] = oneLine(value)
	}
	return u
}

// service looks at shadowd's systemd unit, if there is one.
func (d *Doctor) service(ctx context.Context) { d.judge(ctx, shadowd, d.unit(ctx, shadowd)) }

// console looks at shadowgate's, and at its configuration, if it is installed. Nothing is said of one that somebody has
// stopped and disabled.
func (d *Doctor) console(ctx context.Context) {
	u := d.unit(ctx, shadowgate)
	if u["LoadState"] == "masked" || u["ActiveState"] == "inactive" && u["UnitFileState"] != "enabled" {
		return
	}
	d.judge(ctx, shadowgate, u)
	if u["LoadState"] == "loaded" {
		d.leftovers(shadowgate.check, d.file("/etc/xdl/shadowgate.toml"))
	}
}

// judge says what is to be said of a service.
func (d *Doctor) judge(ctx context.Context, s served, u unit) {
	amiss := func(found, remedy string) { d.add(Check{Name: s.check, State: s.fault, Found: found, Remedy: remedy}) }
	switch name := s.unit(); {
	case u["LoadState"] == "masked":
		amiss(name+" is masked: it can't be started", fmt.Sprintf("systemctl unmask %s && systemctl enable --now %[1]s", s.name))
	case u["LoadState"] == "not-found" || u["LoadState"] == "":
		// It isn't a service here; whether shadowd runs is looked at by itself.
	case u["LoadState"] != "loaded":
		amiss(fmt.Sprintf("systemd can't read %s (%s)", name, u["LoadState"]), fmt.Sprintf("see what is wrong with it: systemctl status %s; systemd-analyze verify %s", s.name, name))
	case u["ActiveState"] == "failed":
		amiss(name+" has failed: "+u.end()+d.lastWord(ctx, s), s.again())
	case u["SubState"] == "auto-restart":
		amiss(fmt.Sprintf("%s doesn't stay, and systemd starts it again and again%s: %s%s", name, u.restarts(), u.end(), d.lastWord(ctx, s)), s.again())
	case u["ActiveState"] == "inactive":
		d.note(s.check, name+" isn't started", "systemctl enable --now "+s.name)
	case u["ActiveState"] != "active" && u["ActiveState"] != "reloading":
		d.note(s.check, fmt.Sprintf("%s is %s (%s)", name, u["ActiveState"], u["SubState"]), "wait, and look again: systemctl status "+s.name)
	default:
		d.running(s, u)
	}
}

// running looks at a service that is active.
func (d *Doctor) running(s served, u unit) {
	before, name := len(d.list), s.unit()
	if state := u["UnitFileState"]; state == "disabled" {
		d.note(s.check, name+" runs, but isn't started when the host boots", "systemctl enable "+s.name)
	}
	restart := "systemctl restart " + s.name
	if u["NeedDaemonReload"] == "yes" {
		d.note(s.check, fmt.Sprintf("%s or what is in %[1]s.d has changed since systemd read it", name), "systemctl daemon-reload && "+restart)
	}
	if program, _ := os.Readlink(d.file("/proc/" + u["MainPID"] + "/exe")); strings.HasSuffix(program, " (deleted)") {
		d.note(s.check, fmt.Sprintf("the program was replaced by an upgrade, and %s still runs the one from before", s.name), restart)
	}
	if own, path := d.file("/usr/lib/systemd/system/"+name), u["FragmentPath"]; strings.HasPrefix(path, "/etc/") && exists(own) {
		d.note(s.check, path+" is used, and the package's unit isn't",
			fmt.Sprintf("remove it, keep changes with systemctl edit %s, and do: systemctl daemon-reload && %s; to compare: diff %s %s", s.name, restart, own, path))
	}
	if n, _ := strconv.Atoi(u["NRestarts"]); n > 0 {
		d.note(s.check, fmt.Sprintf("%s runs, and systemd had to start it again%s after it ended by itself", name, u.restarts()), "see why it ended: journalctl -u "+s.name)
	}
	if len(d.list) == before {
		d.ok(s.check, name+" runs")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// restarts is how often systemd had to start the service again; "" if it doesn't say.
func (u unit) restarts() string {
	switch n, _ := strconv.Atoi(u["NRestarts"]); n {
	case 0:
		return ""
	case 1:
		return " (once so far)"
	default:
		return fmt.Sprintf(" (%d times so far)", n)
	}
}

// end is how the service ended.
func (u unit) end() string {
	switch u["Result"] {
	case "exit-code":
		return "it ended with status " + u["ExecMainStatus"]
	case "signal", "core-dump":
		return "it was ended by signal " + u["ExecMainStatus"]
	case "timeout":
		return "it wasn't ready, or didn't end, in time"
	case "watchdog":
		return "it hung, and the watchdog ended it"
	case "oom-kill":
		return "the host had no memory left, and the kernel ended it"
	case "start-limit", "start-limit-hit":
		return "it was started too often in a short time, and systemd gave up"
	}
	return "its result is " + u["Result"]
}

// again is how to find out why the service doesn't start, and to start it.
func (s served) again() string {
	return fmt.Sprintf("see what %s --check finds, and the log: journalctl -u %[1]s -n 20; when that is mended: systemctl reset-failed %[1]s; systemctl start %[1]s", s.name)
}

// maxWord is how many bytes of a log line are shown.
const maxWord = 400

// lastWord is what the service itself logged last; "" if that isn't to be seen.
func (d *Doctor) lastWord(ctx context.Context, s served) string {
	journalctl := program.Find(d.host.path, "journalctl")
	if journalctl == "" {
		return ""
	}
	out, err := program.Output(ctx, program.Command{Path: journalctl, Args: []string{"-q", "-n", "1", "-o", "cat", "_SYSTEMD_UNIT=" + s.unit()}, Timeout: callTime})
	word := oneLine(string(out))
	if err != nil || word == "" {
		return ""
	}
	if len(word) > maxWord {
		word = strings.ToValidUTF8(word[:maxWord], "") + "…"
	}
	return "; the last line of its log: " + word
}

// Files that upgrades leave beside a configuration file: the package's new one, and the one
// that was in use.
var (
	brought  = []string{".dpkg-dist", ".dpkg-new", ".ucf-dist", ".rpmnew"}
	putAside = []string{".dpkg-old", ".ucf-old", ".rpmsave"}
)

// leftovers looks at what upgrades left beside a configuration file.
func (d *Doctor) leftovers(name, path string) {
	const remedy = "compare them, take over what is wanted, and remove the file: diff -u "
	look := func(suffixes []string, found string) {
		for _, suffix := range suffixes {
			if other := path + suffix; exists(other) {
				d.note(name, fmt.Sprintf(found, other, filepath.Base(path)), remedy+path+" "+other)
			}
		}
	}
	look(brought, "an upgrade brought %s, which isn't used: %s was kept as it is")
	look(putAside, "an upgrade or a removal put %s aside: what it says doesn't count, and %s does")
}
