package fleethosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/fleet"
)

// hear follows the audits of all hosts, until ctx ends. What happened while the connection was lost is
// heard later.
func (d *Directory) hear(ctx context.Context) error {
	c := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy}
	d.mu.Lock()
	if d.next > 0 {
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, d.next
	}
	d.mu.Unlock()
	consumer, err := d.conn.JS.OrderedConsumer(ctx, fleet.AuditStream, c)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		msg, err := messages.Next()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("the hosts' audits can't be followed: %w", err)
		}
		d.heard(msg)
	}
}

// heard takes one line.
func (d *Directory) heard(msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		return
	}
	id, host := msg.Headers().Get(jetstream.MsgIDHeader), fleet.AuditHost(msg.Subject())
	d.mu.Lock()
	d.next = meta.Sequence.Stream + 1
	of := d.hosts[host]
	isNew := id != "" && d.known.add(host+"/"+id) // without one it is nothing that a host says
	d.mu.Unlock()
	if of == nil || !isNew {
		return
	}
	e, err := readEvent(of.keys(), host, msg)
	if err != nil {
		d.doubt(host, err).Uint64("line", meta.Sequence.Stream).Msg("a line of the audit isn't believed")
		return
	}
	of.happened(e)
}

// keys are the keys that the host has had: lines from before were signed with those.
func (h *Host) keys() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := []string{h.enrolled.Key}
	for _, r := range h.enrolled.Revoked {
		keys = append(keys, r.Key)
	}
	return keys
}

// readEvent reads a line, which the host has to have signed with one of its keys.
func readEvent(keys []string, host string, msg jetstream.Msg) (e shadow.Event, err error) {
	err = errors.New("no key")
	for _, key := range keys {
		header := msg.Headers()
		if err = fleet.VerifyEvent(key, header.Get(fleet.SignatureHeader), host, header.Get(jetstream.MsgIDHeader), msg.Data()); err == nil {
			break
		}
	}
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(msg.Data(), &e); err != nil {
		return e, err
	}
	return e, nil
}

const maxRecent = 1 << 14

// recent knows names that came lately. Its zero value is ready.
type recent struct {
	mu    sync.Mutex
	known map[string]struct{}
	order []string
	at    int
}

// add reports whether a name is new, and notes it.
func (r *recent) add(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.known[name]; there {
		return false
	}
	if r.known == nil {
		r.known = map[string]struct{}{}
	}
	if len(r.order) < maxRecent {
		r.order = append(r.order, name)
	} else {
		delete(r.known, r.order[r.at])
		r.order[r.at] = name
		r.at = (r.at + 1) % maxRecent
	}
	r.known[name] = struct{}{}
	return true
}
