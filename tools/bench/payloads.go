package main

import (
	"errors"
	"math/rand"
)

// payloads are built once and shared by all runs.
type payloads struct {
	big, mid, tiny *blob // server to client
	upBig, upSmall upload
}

// upload is a client to server stream: as sent over WebSocket, as sent over
// plain TCP, and how many messages and payload bytes it holds.
type upload struct {
	ws, tcp  *blob
	messages int64
}

func makePayloads(s *settings) (*payloads, error) {
	var p payloads
	var err error
	mk := func(b []byte) *blob {
		x, e := newBlob(b)
		err = errors.Join(err, e)
		return x
	}
	p.big = mk(appendUpdate(nil, s.frameW, s.frameH, 1))
	p.mid = mk(appendUpdate(nil, 64, 64, 1))
	p.tiny = mk(appendUpdate(nil, 4, 2, 1))
	mkUpload := func(messages, perMessage int) upload {
		rng := rand.New(rand.NewSource(1))
		var w, t []byte
		for range messages {
			at := len(t)
			for range perMessage {
				t = append(t, updateRequest(uint16(rng.Uint32()), uint16(rng.Uint32()), uint16(rng.Uint32()), uint16(rng.Uint32()))...)
			}
			w = appendFrame(w, 2, t[at:])
		}
		return upload{ws: mk(w), tcp: mk(t), messages: int64(messages)}
	}
	p.upBig = mkUpload(128, 3276)
	p.upSmall = mkUpload(20000, 1)
	return &p, err
}
