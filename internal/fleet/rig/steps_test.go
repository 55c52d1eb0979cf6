package rig_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/host/testhost"
)

// pageViews has the browser view a host's desktop, by the load balancer.
func (r *rig) pageViews(t *testing.T, host, purpose string) (id string) {
	t.Helper()
	id = r.tab.view(t, host, purpose)
	r.tab.shown(t, r.paint(t, host))
	return id
}

// others are machines but one.
func others(all []string, but string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == but })
}

// gateKilled: views that ran through it come back through another, also the one that its host carries to the gates.
func (r *rig) gateKilled(t *testing.T) {
	r.pageViews(t, "host1", "a gate is killed")
	id := r.asked(t, "gate1", r.dialed, "a gate is killed")
	watch(t, r.at("gate1"), id)
	r.runs["gate1"].end(syscall.SIGKILL)
	r.saw("the page shows the same view through another gate after %v", r.tab.shown(t, r.paint(t, "host1")))
	r.saw("the view that its host carries comes back after %v", comesBack(t, r.at("gate2"), id))
	stopped(t, r.at("gate2"), id)
	r.right(t, others(r.gates(), "gate1"), r.hosts()...)
	r.start("gate1")
	r.ready(t, "gate1")
	r.tab.leave(t)
}

// serverKilled: views go on, others are asked for.
func (r *rig) serverKilled(t *testing.T) {
	c := r.bus(t)
	r.pageViews(t, "host1", "a server is killed")
	leader := r.leads(t, c)
	r.runs[leader].end(syscall.SIGKILL)
	r.saw("a view shows what changes after %v", r.tab.shown(t, r.paint(t, "host1")))
	began := time.Now()
	r.viewed(t, others(r.gates(), leader)[0], r.dialed, "a server was killed")
	r.saw("another was asked for and shown %v after", time.Since(began).Round(100*time.Millisecond))
	r.start(leader)
	began = time.Now()
	r.whole(t, c)
	r.saw("the server has everything %v after its start", time.Since(began).Round(100*time.Millisecond))
	r.tab.leave(t)
}

// hostKilled: it leaves the list, asks for it are refused in words, the page says that the view is over.
func (r *rig) hostKilled(t *testing.T) {
	r.pageViews(t, "host1", "a host is killed")
	children := childrenOf(r.runs["host1"].Process.Pid)
	require.NotEmpty(t, children)
	r.runs["host1"].end(syscall.SIGKILL)
	r.until(t, "its children have ended", func(context.Context) bool { return !slices.ContainsFunc(children, runs) })
	why, _ := r.refused(t, "gate1", "host1")
	r.saw("asks are refused, %q", why.Detail)
	began := time.Now()
	r.right(t, r.gates(), others(r.hosts(), "host1")...)
	r.saw("off the list within %v", time.Since(began).Round(100*time.Millisecond))
	r.start("host1")
	r.saw("the page says %q", r.tab.over(t))
	r.right(t, r.gates(), r.hosts()...)
	r.viewed(t, "gate2", "host1", "the host is back")
}

// captureKilled: the view ends with its reason, and the next one is as any.
func (r *rig) captureKilled(t *testing.T) {
	id := r.pageViews(t, "host1", "the capture is killed")
	var pids []int
	for _, pid := range childrenOf(r.runs["host1"].Process.Pid) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if bytes.Contains(line, []byte("\x00capture\x00")) {
			pids = append(pids, pid)
		}
	}
	require.Len(t, pids, 1)
	require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
	words := r.tab.over(t)
	r.saw("the view ends, %s, and the page says %q", r.happened(t, "gate2", "host1", id, "ended"), words)
	r.viewed(t, "gate1", "host1", "again")
}

// screenKilled: the view ends with its reason, and asks are refused with another, until there is a desktop again.
func (r *rig) screenKilled(t *testing.T) {
	id := r.pageViews(t, "host1", "the X server is killed")
	r.desks["host1"].Kill()
	words := r.tab.over(t)
	r.saw("the view ends, %s, and the page says %q", r.happened(t, "gate2", "host1", id, "ended"), words)
	why, _ := r.refused(t, "gate1", "host1")
	r.saw("asks are refused, %s", why.Reason)
	r.desks["host1"] = testhost.Require(r.t, testhost.Options{WindowManager: true})
	fleet, err := os.ReadFile(r.folder("host1.fleet"))
	require.NoError(t, err)
	r.configureHost("host1", string(fleet))
	r.runs["host1"].end(syscall.SIGTERM)
	r.start("host1")
	r.right(t, r.gates(), r.hosts()...)
	r.viewed(t, "gate1", "host1", "another desktop")
}

// hostCut: it leaves the list, what happens there meanwhile is known afterwards, and the view that was lost comes back.
func (r *rig) hostCut(t *testing.T) {
	r.pageViews(t, "host1", "a host is cut off")
	began := time.Now()
	r.ends["host1"].cut(t)
	r.ends[r.dialed].cut(t)
	const purpose = "while cut off"
	must(t, "", "", "shadowctl", "--socket", filepath.Join(r.folder(r.dialed), "control.sock"), "shadow", "s1", "--admin", "root", "--purpose", purpose)
	why, took := r.refused(t, "gate1", "host1")
	r.saw("asks are refused after %v, %q", took, why.Detail)
	r.right(t, r.gates(), "host3")
	r.saw("off the list within %v", time.Since(began).Round(100*time.Millisecond))
	r.ends["host1"].heal(t)
	r.ends[r.dialed].heal(t)
	r.saw("the page shows the same view %v after the line is back", r.tab.shown(t, r.paint(t, "host1")))
	r.right(t, r.gates(), r.hosts()...)
	r.saw("what happened meanwhile is known %v later", r.until(t, "what happened is known", func(ctx context.Context) bool {
		resp, err := r.at("gate1").Send(ctx, http.MethodGet, "/api/v1/activity?host="+r.dialed, nil)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var list gate.HappeningList
		return json.NewDecoder(resp.Body).Decode(&list) == nil && slices.ContainsFunc(list.Events, func(e gate.Happening) bool { return e.Purpose == purpose })
	}))
	r.tab.leave(t)
}

// gateCut: the others go on, its views come to them, and it has the whole list again afterwards.
func (r *rig) gateCut(t *testing.T) {
	r.pageViews(t, "host1", "a gate is cut off")
	r.ends["gate1"].cut(t)
	began := time.Now()
	r.viewed(t, "gate2", "host3", "a gate is cut off")
	r.saw("another gate asked and showed within %v", time.Since(began).Round(100*time.Millisecond))
	r.tab.shown(t, r.paint(t, "host1"))
	r.saw("the page shows the same view through it after %v", time.Since(began).Round(100*time.Millisecond))
	r.right(t, others(r.gates(), "gate1"), r.hosts()...)
	r.ends["gate1"].heal(t)
	began = time.Now()
	r.right(t, r.gates(), r.hosts()...)
	r.saw("its list is right %v after the line is back", time.Since(began).Round(100*time.Millisecond))
	r.tab.leave(t)
}

// gateFromHost: a gate that reaches the bus, but not a host, says so, and another shows the view.
func (r *rig) gateFromHost(t *testing.T) {
	r.ends["gate1"].cutFrom(t, r.ends["host1"])
	defer r.ends["gate1"].heal(t)
	r.right(t, r.gates(), r.hosts()...)
	id := r.asked(t, "gate1", "host1", "a gate doesn't reach it")
	v, err := r.at("gate1").Connect(id)
	require.NoError(t, err)
	code, reason := v.End()
	require.Equal(t, "host_unreachable", reason)
	r.saw("its views end with %d, %s", code, reason)
	r.saw("the same is shown through another gate after %v", comesBack(t, r.at("gate2"), id))
	stopped(t, r.at("gate2"), id)
}

// serverCut: as if it were killed, but that nobody is told.
func (r *rig) serverCut(t *testing.T) {
	c := r.bus(t)
	r.pageViews(t, "host1", "a server is cut off")
	leader := r.leads(t, c)
	r.ends[leader].cut(t)
	began := time.Now()
	r.saw("a view shows what changes after %v", r.tab.shown(t, r.paint(t, "host1")))
	r.viewed(t, "gate1", r.dialed, "a server is cut off")
	r.viewed(t, "gate2", "host3", "a server is cut off")
	r.right(t, r.gates(), r.hosts()...)
	r.saw("others were asked for and shown, and the list was right, within %v", time.Since(began).Round(100*time.Millisecond))
	r.ends[leader].heal(t)
	began = time.Now()
	r.whole(t, c)
	r.saw("the server has everything %v after the line is back", time.Since(began).Round(100*time.Millisecond))
	r.tab.leave(t)
}

// slowLines: all is as ever, and takes longer.
func (r *rig) slowLines(t *testing.T) {
	for _, name := range []string{"host1", r.dialed, r.buses()[1]} {
		defer r.ends[name].slow(t)()
	}
	began := time.Now()
	r.pageViews(t, "host1", "slow lines")
	r.saw("asked for and shown after %v", time.Since(began).Round(100*time.Millisecond))
	r.saw("a change of the whole screen is shown after %v", r.tab.shown(t, r.paint(t, "host1")))
	began = time.Now()
	r.viewed(t, "gate2", r.dialed, "slow lines")
	r.saw("a view that its host carries was asked for, shown and stopped after %v", time.Since(began).Round(100*time.Millisecond))
	r.right(t, r.gates(), r.hosts()...)
	r.audited(t, "gate1", "gate2")
	r.tab.leave(t)
}

// spoolFull: while the audit can neither be told nor kept nobody is shown anything, and it is said; when
// there is room, it works again.
func (r *rig) spoolFull(t *testing.T) {
	r.ends["host3"].cut(t)
	empty := fill(t, filepath.Join(r.folder("host3"), "small"))
	ask := []string{"--socket", filepath.Join(r.folder("host3"), "control.sock"), "shadow", "s1", "--admin", "root"}
	var out string
	n := 0
	for ; n < 50 && !strings.Contains(out, "audit"); n++ {
		out, _ = command(t, "", "", "shadowctl", ask...)
	}
	require.Contains(t, out, "audit", "it goes on without its audit")
	r.saw("with no bus and no room the host refuses, %q", strings.TrimSpace(out))
	empty()
	r.ends["host3"].heal(t)
	r.right(t, r.gates(), r.hosts()...)
	began := time.Now()
	r.viewed(t, "gate1", "host3", "there is room")
	r.saw("asked for and shown %v after there is room", time.Since(began).Round(100*time.Millisecond))
}

// storeFull: the other servers have everything, and the one without room has it, too, when there is room.
func (r *rig) storeFull(t *testing.T) {
	c := r.bus(t)
	name := r.buses()[2]
	empty := fill(t, filepath.Join(r.folder(name), "small"))
	for i := range 5 {
		r.viewed(t, "gate1", r.hosts()[i%3], "a server has no room")
	}
	r.runs[name].log.wait(t, "out of")
	r.viewed(t, "gate2", "host1", "a server has said that it has no room")
	r.right(t, r.gates(), r.hosts()...)
	r.saw("it says so in its log; the others go on")
	empty()
	began := time.Now()
	if r.own { // NATS's own servers keep nothing any more until they are started again
		r.runs[name].end(syscall.SIGTERM)
		r.start(name)
	}
	r.whole(t, c)
	r.saw("it has everything %v after there is room", time.Since(began).Round(100*time.Millisecond))
}

// hostClock: the host's own clock is nobody's but its own.
func (r *rig) hostClock(t *testing.T) {
	r.pageViews(t, "host1", "clocks")
	for i, ahead := range []time.Duration{3 * time.Hour, -3 * time.Hour} {
		r.clocks["host1"].set(t, ahead)
		r.clocks["host3"].set(t, -ahead)
		if i == 0 {
			r.saw("3 h off while it runs: the view goes on")
			r.tab.shown(t, r.paint(t, "host1"))
			r.first(t, "gate1", "host3")
			r.tab.leave(t)
		}
		for _, name := range []string{"host1", "host3"} {
			r.another(t) // a clock that goes back costs questions, for half a minute
			r.viewed(t, "gate1", name, "the clock is wrong")
		}
		r.another(t)
		r.runs["host3"].end(syscall.SIGKILL)
		r.start("host3")
		r.viewed(t, "gate2", "host3", "the clock is wrong at the start")
		r.right(t, r.gates(), r.hosts()...)
		r.steady(t, "gate1")
	}
	r.saw("started with it: listed, asked and viewed as ever")
	r.clocks["host1"].set(t, 0)
	r.clocks["host3"].set(t, 0)
	for _, name := range []string{"host1", "host3"} {
		r.another(t)
		r.viewed(t, "gate1", name, "the clock is right again")
	}
	r.saw("where it has gone back it is off the list for some of 40 s")
}

// first asks once, and notes what comes of it.
func (r *rig) first(t *testing.T, name, host string) {
	t.Helper()
	c := r.at(name)
	resp, err := c.Send(t.Context(), http.MethodPost, "/api/v1/shadows", gate.Wish{Host: host, Session: "s1", Purpose: "at once"})
	require.NoError(t, err)
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusCreated {
		var v gate.View
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&v))
		stopped(t, c, v.ID)
		return
	}
	var why api.Problem
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&why))
	require.NotEmpty(t, why.Detail)
	r.saw("until it has told the gates, within 10 s, an ask is refused, %q", why.Detail)
}

// gateClock: its list is right and stays so, and what it asks is heard.
func (r *rig) gateClock(t *testing.T) { r.wrongClock(t, "gate2", "gate2") }

// serverClock: the same, at the server that leads.
func (r *rig) serverClock(t *testing.T) { r.wrongClock(t, r.leads(t, r.bus(t)), "gate1") }

// wrongClock has a machine's clock be wrong, while it runs and when it starts. What comes of it is looked at from a gate.
func (r *rig) wrongClock(t *testing.T, name, from string) {
	defer delete(r.apart, name)
	for _, ahead := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		for _, how := range []string{"while it runs", "from its start"} {
			r.clocks[name].set(t, ahead)
			if how == "from its start" {
				r.runs[name].end(syscall.SIGKILL)
				r.start(name)
			}
			if slices.Contains(r.gates(), name) {
				r.ready(t, name)
				r.signInApart(t, name)
			}
			r.right(t, r.gates(), r.hosts()...)
			r.steady(t, from)
			for _, host := range r.hosts() {
				r.viewed(t, from, host, fmt.Sprintf("a clock is %v off %s", ahead, how))
			}
			r.audited(t, from)
		}
	}
	if slices.Contains(r.gates(), name) {
		delete(r.apart, name)
		resp, err := r.at(name).Send(t.Context(), http.MethodGet, "/api/v1/me", nil)
		require.NoError(t, err)
		defer resp.Body.Close()
		var why api.Problem
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&why))
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		r.saw("10 min behind, it says to who has signed in elsewhere: %q", why.Detail)
	}
	r.clocks[name].set(t, 0)
	r.saw("10 min ahead or behind, while it runs and from its start: lists stay right, asks and views are as ever")
}

// steady requires that a gate's list stays right for longer than a host may be silent.
func (r *rig) steady(t *testing.T, name string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 45*time.Second; time.Sleep(time.Second) {
		require.Equal(t, r.hosts(), r.listed(t.Context(), name), "%s, after %v", name, time.Since(began))
	}
}

// runs reports whether a process has not ended. Nobody reaps those whose parent was killed here.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// childrenOf are the direct children of a process, of all its threads.
func childrenOf(pid int) (pids []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		data, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}
