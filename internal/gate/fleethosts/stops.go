package fleethosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/gate/hosts"
)

// stoppedTime is for how long gates know which views were stopped. A view whose host hears nothing ends by itself long before.
const stoppedTime = 24 * time.Hour

var _ hosts.Shared = (*Directory)(nil)

// OnStopped implements [hosts.Shared].
func (d *Directory) OnStopped(heard func(host, id string)) { d.onStopped = heard }

// TellStopped implements [hosts.Shared].
func (d *Directory) TellStopped(ctx context.Context, host, id string) error {
	kv, err := d.conn.JS.KeyValue(ctx, fleet.FleetBucket)
	if err != nil {
		return fmt.Errorf("%s: %w", fleet.FleetBucket, err)
	}
	value, err := json.Marshal(fleet.Stopped{Host: host, ID: id})
	if err != nil {
		return err
	}
	_, err = kv.Create(ctx, fleet.StoppedKey(host, id), value, jetstream.KeyTTL(stoppedTime))
	if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return err
	}
	return nil
}

// told takes what a gate has told the others.
func (d *Directory) told(e jetstream.KeyValueEntry) {
	switch {
	case e.Operation() != jetstream.KeyValuePut:
	case fleet.IsSignInKey(e.Key()):
		if d.onPosted != nil {
			d.onPosted(string(e.Value()))
		}
	default:
		d.stopped(e)
	}
}

// stopped takes a view that was stopped. Nobody has signed it: who can write it, a gate or the bus's servers, can cut views
// anyway, and nothing else comes of it.
func (d *Directory) stopped(e jetstream.KeyValueEntry) {
	if d.onStopped == nil {
		return
	}
	var s fleet.Stopped
	if err := json.Unmarshal(e.Value(), &s); err != nil || fleet.StoppedKey(s.Host, s.ID) != e.Key() {
		return
	}
	d.onStopped(s.Host, s.ID)
}
