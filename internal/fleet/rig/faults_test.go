package rig_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
)

// faultsVariable has the faults be tried: that takes minutes.
const faultsVariable = "SHADOW_FLEET"

// A fault is something that breaks.
type fault struct {
	what string
	do   func(*testing.T)
	own  bool // only where the servers are the organisation's
}

// Three gates whose buses are one: each thing breaks in turn. What is lost are views' connections, which come back; what
// was audited is known, once; the list is right; and for what can't be done there are words.
func TestFaultsOfGates(t *testing.T) { faults(t, false) }

// The same with two gates, and three of NATS's own servers.
func TestFaultsOfServers(t *testing.T) { faults(t, true) }

func faults(t *testing.T, own bool) {
	if os.Getenv(faultsVariable) == "" {
		t.Skip("set " + faultsVariable + "=1, as make fleet does: it takes minutes")
	}
	for program, debian := range map[string]string{"ip": "iproute2", "nft": "nftables", "haproxy": "haproxy", "chromium": "chromium", "Xvfb": "xvfb"} {
		testenv.Program(t, program, debian)
	}
	require.NoError(t, buildWithClocks())
	if !testenv.InNamespaces(t, 50*time.Minute) {
		return
	}
	r := newRig(t, own)
	r.right(t, r.gates(), r.hosts()...)
	var table strings.Builder
	defer func() { t.Logf("what broke, and what came of it:\n\n| | what is seen |\n|---|---|\n%s", &table) }()
	for _, f := range []fault{
		{what: "a gate is killed", do: r.gateKilled},
		{what: "the server that leads is killed", do: r.serverKilled},
		{what: "a host's shadowd is killed", do: r.hostKilled},
		{what: "the capture is killed", do: r.captureKilled},
		{what: "the X server is killed", do: r.screenKilled},
		{what: "a host is cut off", do: r.hostCut},
		{what: "a gate is cut off", do: r.gateCut},
		{what: "a gate doesn't reach a host", do: r.gateFromHost},
		{what: "the server that leads is cut off", do: r.serverCut, own: true},
		{what: "slow lines", do: r.slowLines},
		{what: "a host's disk is full", do: r.spoolFull},
		{what: "a server's disk is full", do: r.storeFull},
		{what: "a host's clock is wrong", do: r.hostClock},
		{what: "a gate's clock is wrong", do: r.gateClock},
		{what: "a server's clock is wrong", do: r.serverClock, own: true},
	} {
		if f.own && !own {
			continue
		}
		began := time.Now()
		r.seen = nil
		held := t.Run(strings.ReplaceAll(f.what, " ", "_"), func(t *testing.T) {
			r.another(t)
			f.do(t)
			r.right(t, r.gates(), r.hosts()...)
			gates := r.gates()
			r.saw("%d lines of the audit, each known once", r.audited(t, gates[0], gates[len(gates)-1]))
		})
		if !held {
			r.saw("FAILED")
		}
		fmt.Fprintf(&table, "| %s | %s |\n", f.what, strings.Join(r.seen, "; "))
		t.Logf("%s: %v: %s", f.what, time.Since(began).Round(time.Second), strings.Join(r.seen, "; "))
		require.True(t, held, "what comes next would be tried on something broken")
	}
}
