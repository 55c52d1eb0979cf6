package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"vda.internal/shadow"
)

// events streams what happens from now on, as server-sent events. The first
// thing it sends is a comment, at once, so that the client knows that nothing
// after it will be missed. A client that is too slow for the stream is cut off
// rather than told half.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) {
	if p, ok := r.Context().Value(peerKey{}).(peer); ok && p.conn != nil {
		if err := p.conn.l.book.toStream(p.conn); err != nil {
			writeProblem(w, refusedProblem(err))
			return
		}
		w.Header().Set("Connection", "close") // it is no call's any more
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	events := h.engine.Subscribe(r.Context())
	rc := http.NewResponseController(w)
	send := func(b []byte) bool {
		_, err := w.Write(b)
		return err == nil && rc.Flush() == nil
	}
	if !send([]byte(": subscribed\n\n")) {
		return
	}
	beat := time.NewTicker(h.heartbeat)
	defer beat.Stop()
	for {
		select {
		case e, open := <-events:
			if !open || !send(encodeEvent(e)) {
				return
			}
		case <-beat.C:
			if !send([]byte(": alive\n\n")) {
				return
			}
		}
	}
}

// encodeEvent is one event on the wire. JSON has no raw line breaks, so the
// data is one line.
func encodeEvent(e shadow.Event) []byte {
	data, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("an event can't be written as JSON: %v", err)) // our own type: a programmer's mistake
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", e.Type, data)
	return b.Bytes()
}
