package gate

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"vda.internal/shadow/internal/gate/hosts"
)

// A member is a host, and what ends its goroutines.
type member struct {
	hosts.Host
	leave func() // nil: not begun
}

// add makes a host known. It reports false if there is one of that name.
func (h *hub) add(host hosts.Host) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := host.Name()
	i, there := slices.BinarySearchFunc(h.members, name, byName)
	if there {
		return false
	}
	h.members = slices.Insert(h.members, i, member{Host: host})
	h.states[name] = &hostRows{state: HostState{ID: name, Name: name, State: "down", Detail: "not reached yet", Since: time.Now()}, rows: map[string]Row{}}
	h.looks[name] = make(chan struct{}, 1)
	h.looking[name] = make(chan struct{}, 1)
	h.stateChanged()
	return true
}

func byName(m member, name string) int { return cmp.Compare(m.Name(), name) }

// remove forgets a host, and returns what ends its goroutines. Nil: it isn't a member, though another
// host of its name may be.
func (h *hub) remove(host hosts.Host) (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := host.Name()
	i, there := slices.BinarySearchFunc(h.members, name, byName)
	if !there || h.members[i].Host != host {
		return nil
	}
	leave = h.members[i].leave
	h.members = slices.Delete(h.members, i, i+1)
	keys := slices.Collect(maps.Keys(h.states[name].rows))
	delete(h.states, name)
	delete(h.looks, name)
	delete(h.looking, name)
	h.tell(keys)
	h.stateChanged()
	return leave
}

// list is the hosts that there are now.
func (h *hub) list() []hosts.Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]hosts.Host, 0, len(h.members))
	for _, m := range h.members {
		list = append(list, m.Host)
	}
	return list
}

// heed follows the directory.
func (h *hub) heed(ctx context.Context, running *sync.WaitGroup) {
	add := func(host hosts.Host) {
		if !h.add(host) {
			h.logHost(HostState{ID: host.Name(), Name: host.Name(), State: "down", Detail: "it isn't shown: this machine has its name"})
			return
		}
		h.begin(ctx, running, host)
	}
	remove := func(host hosts.Host) {
		if leave := h.remove(host); leave != nil {
			leave()
			h.removed(host)
		}
	}
	for ctx.Err() == nil {
		if err := h.directory.Run(ctx, add, remove); err != nil && ctx.Err() == nil {
			h.logDirectory(err)
			pause(ctx, retryTime)
		}
	}
}

// complete reports whether every host that exists is known.
func (h *hub) complete() bool {
	if h.directory == nil {
		return true
	}
	_, complete := h.directory.State()
	return complete
}

// begin follows one host.
func (h *hub) begin(ctx context.Context, running *sync.WaitGroup, host hosts.Host) {
	ctx, leave := context.WithCancel(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	i, there := slices.BinarySearchFunc(h.members, host.Name(), byName)
	if !there {
		leave()
		return
	}
	h.members[i].leave = leave
	looks := h.looks[host.Name()]
	running.Go(func() { h.follow(ctx, host) })
	running.Go(func() { h.watch(ctx, host, looks) })
}

// host is the host of that name; with an empty name the only one.
func (h *hub) host(name string) (hosts.Host, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if name == "" && len(h.members) == 1 {
		return h.members[0].Host, true
	}
	i, there := slices.BinarySearchFunc(h.members, name, byName)
	if !there {
		return nil, false
	}
	return h.members[i].Host, true
}
