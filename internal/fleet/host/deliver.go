package host

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/dial"
)

// deliverTime is how long the bus may take to keep a line.
const deliverTime = 10 * time.Second

// maxLine is how many bytes a line may have without its headers.
const maxLine = fleet.MaxLine - 1<<10

// deliver publishes the spool's lines, each until the stream has it, in order.
func (h *Host) deliver(ctx context.Context, js jetstream.JetStream) {
	for ctx.Err() == nil {
		id, data, err := h.Spool.Peek(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = h.deliverOne(ctx, js, id, data)
		}
		h.delivered(err)
		if err != nil {
			pause(ctx, dial.Wait(4))
		}
	}
}

// deliverOne publishes a line under its own id, by which the stream knows it again, and takes it out of the
// spool when the stream has it.
func (h *Host) deliverOne(ctx context.Context, js jetstream.JetStream, id string, data []byte) error {
	if len(data) > maxLine { // it would keep all later ones back
		h.Logger.Error().Str("event", id).Int("bytes", len(data)).Msg("a line of the audit is too long for the fleet's bus, which misses it; this host's own audit has it")
		return h.Spool.Ack(id)
	}
	signature, err := fleet.SignEvent(h.key, h.ID(), id, data)
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, deliverTime)
	defer cancel()
	msg := &nats.Msg{Subject: fleet.AuditSubject(h.ID()), Data: data, Header: nats.Header{fleet.SignatureHeader: {signature}}}
	if _, err := js.PublishMsg(wait, msg, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0)); err != nil {
		return err
	}
	return h.Spool.Ack(id)
}

// delivered notes whether the audit is delivered, and says so where that changes.
func (h *Host) delivered(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	h.mu.Lock()
	changed := (h.audit == "") != (why == "")
	h.audit = why
	h.mu.Unlock()
	if !changed {
		return
	}
	if err != nil {
		h.Logger.Warn().Err(err).Msg("the audit can't be delivered to the fleet; its lines stay in the spool")
	} else {
		h.Logger.Info().Msg("the audit is delivered to the fleet again")
	}
	h.change()
}
