package fleethosts

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/gate/signin"
)

var _ signin.Board = (*Directory)(nil)

// OnPosted implements [signin.Board].
func (d *Directory) OnPosted(heard func(notice string)) { d.onPosted = heard }

// Post implements [signin.Board]. Gates hear notices before hosts: who has signed out has done so when a host of the fleet is there.
func (d *Directory) Post(ctx context.Context, key, notice string, until time.Time) error {
	left := time.Until(until).Truncate(time.Second)
	if left < time.Second {
		return nil
	}
	m := nats.NewMsg("$KV." + fleet.FleetBucket + "." + fleet.SignInKey(key))
	m.Data = []byte(notice)
	if _, err := d.conn.JS.PublishMsg(ctx, m, jetstream.WithMsgTTL(left)); err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}
