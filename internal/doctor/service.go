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

// unitName is the service's.
const unitName = service.Name

// unitProperties are what systemd is asked about it.
var unitProperties = []string{"LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts", "UnitFileState", "NeedDaemonReload", "FragmentPath", "MainPID"}

// A unit is what systemd knows of the service, by property.
type unit map[string]string

// unit asks systemd. It is empty if there is none, or if it doesn't answer.
func (d *Doctor) unit(ctx context.Context) unit {
	u := unit{}
	for name, value := range service.Show(ctx, d.host.path, unitProperties...) {
		u[name] = oneLine(value)
	}
	return u
}

// service looks at the systemd unit, if there is one.
func (d *Doctor) service(ctx context.Context) {
	const name = "service"
	switch u := d.unit(ctx); {
	case u["LoadState"] == "masked":
		d.broken(name, unitName+" is masked: it can't be started", "systemctl unmask shadowd && systemctl enable --now shadowd")
	case u["LoadState"] == "not-found" || u["LoadState"] == "":
		// shadowd isn't a service here; whether it runs is looked at by itself.
	case u["LoadState"] != "loaded":
		d.broken(name, fmt.Sprintf("systemd can't read %s (%s)", unitName, u["LoadState"]), "see what is wrong with it: systemctl status shadowd; systemd-analyze verify "+unitName)
	case u["ActiveState"] == "failed":
		d.broken(name, unitName+" has failed: "+u.end()+d.lastWord(ctx), u.again())
	case u["SubState"] == "auto-restart":
		d.broken(name, fmt.Sprintf("%s doesn't stay, and systemd starts it again and again%s: %s%s", unitName, u.restarts(), u.end(), d.lastWord(ctx)), u.again())
	case u["ActiveState"] == "inactive":
		d.note(name, unitName+" isn't started", "systemctl enable --now shadowd")
	case u["ActiveState"] != "active" && u["ActiveState"] != "reloading":
		d.note(name, fmt.Sprintf("%s is %s (%s)", unitName, u["ActiveState"], u["SubState"]), "wait, and look again: systemctl status shadowd")
	default:
		d.running(u)
	}
}

// running looks at a service that is active.
func (d *Doctor) running(u unit) {
	const name = "service"
	before := len(d.list)
	if state := u["UnitFileState"]; state == "disabled" {
		d.note(name, unitName+" runs, but isn't started when the host boots", "systemctl enable shadowd")
	}
	if u["NeedDaemonReload"] == "yes" {
		d.note(name, unitName+" or what is in "+unitName+".d has changed since systemd read it", "systemctl daemon-reload && systemctl restart shadowd")
	}
	if program, _ := os.Readlink(d.file("/proc/" + u["MainPID"] + "/exe")); strings.HasSuffix(program, " (deleted)") {
		d.note(name, "the program was replaced by an upgrade, and shadowd still runs the one from before", "systemctl restart shadowd")
	}
	if own, path := d.file("/usr/lib/systemd/system/"+unitName), u["FragmentPath"]; strings.HasPrefix(path, "/etc/") && exists(own) {
		d.note(name, fmt.Sprintf("%s is used, and the package's unit isn't", path), fmt.Sprintf("remove it, keep changes with systemctl edit shadowd, and do: systemctl daemon-reload && systemctl restart shadowd; to compare: diff %s %s", own, path))
	}
	if n, _ := strconv.Atoi(u["NRestarts"]); n > 0 {
		d.note(name, fmt.Sprintf("%s runs, and systemd had to start it again%s after it ended by itself", unitName, u.restarts()), "see why it ended: journalctl -u shadowd")
	}
	if len(d.list) == before {
		d.ok(name, unitName+" runs")
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
func (u unit) again() string {
	return "see what shadowd --check finds, and the log: journalctl -u shadowd -n 20; when that is mended: systemctl reset-failed shadowd; systemctl start shadowd"
}

// maxWord is how many bytes of a log line are shown.
const maxWord = 400

// lastWord is what the service itself logged last; "" if that isn't to be seen.
func (d *Doctor) lastWord(ctx context.Context) string {
	journalctl := program.Find(d.host.path, "journalctl")
	if journalctl == "" {
		return ""
	}
	out, err := program.Output(ctx, program.Command{Path: journalctl, Args: []string{"-q", "-n", "1", "-o", "cat", "_SYSTEMD_UNIT=" + unitName}, Timeout: callTime})
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

// leftovers looks at what upgrades left beside the configuration file.
func (d *Doctor) leftovers(path string) {
	const name, remedy = "configuration", "compare them, take over what is wanted, and remove the file: diff -u "
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
