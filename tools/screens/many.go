package main

//lint:file-ignore SA1019 The library that the project names; its successor is a change of import path.

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"nhooyr.io/websocket"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/host/testhost"
)

// manyPorts is the first port that many lets shadowd use.
const manyPorts = 21001

// many has n sessions watched at once, by the whole product, and prints what they cost under a load in each of them.
func many(ctx context.Context, out io.Writer, shadowd string, n int, d time.Duration, l load) error {
	dir, err := os.MkdirTemp("", "screens-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	client := api.Client{Socket: filepath.Join(dir, "control.sock")}
	config := fmt.Sprintf("ShadowingUseSSL = 0\n[ports]\nlisten = \"127.0.0.1\"\nfirst = %d\nlast = %d\n[viewer]\nhost = \"localhost\"\n[control]\nsocket = %q\n"+
		"[log]\nlevel = \"error\"\naudit = %q\n[sessions]\nresolver = \"static\"\n[[consent.rules]]\nanswer = \"allow\"\n",
		manyPorts, manyPorts+n-1, client.Socket, filepath.Join(dir, "audit"))
	parts := map[string][]int{} // processes, by what they are
	for i := range n {
		desktop, err := testhost.Start(ctx, testhost.Options{Width: width, Height: height})
		if err != nil {
			return err
		}
		defer desktop.Close()
		if l.shell != "" {
			if _, err := desktop.Spawn("xterm", "-geometry", "120x45+40+40", "-e", "sh", "-c", l.shell); err != nil {
				return err
			}
		}
		account, err := user.LookupId(strconv.Itoa(int(desktop.Identity.UID)))
		if err != nil {
			return err
		}
		parts["X server"] = append(parts["X server"], desktop.ServerPID())
		config += fmt.Sprintf("[[sessions.static]]\nid = \"s%d\"\ndisplay = %q\nuser = %q\nxauthority = %q\n", i, desktop.Display, account.Username, desktop.Xauthority)
	}
	file := filepath.Join(dir, "shadowing.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	daemon := exec.Command(shadowd, "--config", file)
	daemon.Stderr = os.Stderr
	if err := daemon.Start(); err != nil {
		return err
	}
	defer func() { _ = daemon.Process.Signal(os.Interrupt); _ = daemon.Wait() }()
	begin, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := testhost.Until(begin, "shadowd", func() (bool, error) { _, err := client.List(begin); return err == nil, nil }); err != nil {
		return err
	}
	viewers := make([]*measurement, n)
	for i := range viewers {
		grant, err := client.Shadow(begin, api.Request{Session: "s" + strconv.Itoa(i), Admin: "screens"})
		if err != nil {
			return err
		}
		c, _, err := websocket.Dial(begin, grant.URL, &websocket.DialOptions{Subprotocols: []string{"binary"}})
		if err != nil {
			return err
		}
		defer c.CloseNow()
		v, err := newViewer(begin, websocket.NetConn(ctx, c, websocket.MessageBinary))
		if err != nil {
			return err
		}
		viewers[i] = &measurement{viewer: v}
	}
	for _, m := range viewers { // all that comes at first
		if _, err := m.during(begin, 5*time.Second/time.Duration(n)); err != nil {
			return err
		}
	}
	parts["shadowd"] = []int{daemon.Process.Pid}
	for _, pid := range descendants(daemon.Process.Pid) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		kind := "banner"
		if strings.Contains(string(line), "\x00capture\x00") {
			kind = "source"
		}
		parts[kind] = append(parts[kind], pid)
	}
	fmt.Fprintf(out, "%d sessions of %dx%d, %s, watched for %v, load %s.\n\n| | processes | CPU in all, ms/s | peak memory of each at most, MB | of it its own, MB |\n| --- | ---: | ---: | ---: | ---: |\n", n, width, height, l.name, d, loadAverage())
	before, began := map[string]time.Duration{}, time.Now()
	for kind, pids := range parts {
		before[kind] = clocks(pids)
	}
	updates, err := viewers[0].during(ctx, d)
	if err != nil {
		return err
	}
	for _, kind := range []string{"source", "banner", "shadowd", "X server"} {
		pids := parts[kind]
		fmt.Fprintf(out, "| %s | %d | %.1f | %.1f | %.1f |\n", kind, len(pids), ms(clocks(pids)-before[kind])/time.Since(began).Seconds(),
			most(pids, "status", "VmHWM:"), most(pids, "smaps_rollup", "Pss:"))
	}
	fmt.Fprintf(out, "\nUpdates of the first session: %.1f a second.\n", float64(updates)/d.Seconds())
	return nil
}

// most is the largest that a file of these processes says after a word, in MB of what it says in kB.
func most(pids []int, file, word string) (mb float64) {
	for _, pid := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if fields := strings.Fields(string(b)); slices.Contains(fields, word) {
			kb, _ := strconv.ParseFloat(fields[slices.Index(fields, word)+1], 64)
			mb = max(mb, kb*1024/1e6)
		}
	}
	return mb
}
