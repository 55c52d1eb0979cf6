package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/rfb"
)

// said is what a viewer says: its handshake, and messages of several kinds.
func said(t *testing.T) []byte {
	b := []byte(rfbVersion + "\x01\x01")
	for _, m := range []rfb.Message{
		&rfb.SetEncodings{Encodings: []rfb.Encoding{rfb.EncodingRaw}},
		&rfb.FramebufferUpdateRequest{Incremental: true},
		&rfb.KeyEvent{Down: true, Keysym: 'a'},
		&rfb.PointerEvent{X: 1, Y: 2},
		&rfb.FramebufferUpdateRequest{},
	} {
		var err error
		b, err = rfb.AppendMessage(b, m)
		require.NoError(t, err)
	}
	return b
}

// However the bytes are cut, all of them get through.
func TestInspectingPasses(t *testing.T) {
	want := said(t)
	for _, from := range []io.Reader{bytes.NewReader(want), iotest.OneByteReader(bytes.NewReader(want)), iotest.HalfReader(bytes.NewReader(want))} {
		var got bytes.Buffer
		assert.NoError(t, passMessages(&got, from))
		assert.Equal(t, want, got.Bytes())
	}
}

// Every message is read: one that nobody knows ends the session.
func TestInspectingReads(t *testing.T) {
	viewer, client := net.Pipe()
	target, server := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- inspecting{}.Run(context.Background(), viewer, target) }()
	go io.Copy(io.Discard, server)
	_, err := client.Write(append(said(t), 0xaa))
	require.NoError(t, err)
	assert.ErrorIs(t, <-done, rfb.ErrForbidden)
	for _, c := range []net.Conn{viewer, client, target, server} {
		c.Close()
	}
}

func BenchmarkMessages(b *testing.B) {
	p := bytes.Repeat(updateRequest(1, 2, 64, 64), 3276)
	i := &inspector{target: io.Discard}
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := i.Write(p); err != nil {
			b.Fatal(err)
		}
	}
}
