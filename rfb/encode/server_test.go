package encode_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/encode"
)

// patience is for what must come.
const patience = testenv.Patience

// A server shows a screen to one viewer after another: twice, the second time
// without loss unless it is lossy.
type server struct {
	screen encode.Image
	only   rfb.Encoding // the one encoding that pixels are sent in
	lossy  bool         // and never without loss, if it can be
	cursor encode.Cursor
	addr   string

	mu    sync.Mutex
	asked []rfb.Encoding
	err   error
}

// serve starts a server on 127.0.0.1. It ends with the test.
func serve(t *testing.T, screen encode.Image, only rfb.Encoding) *server {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{screen: screen, only: only, cursor: arrow(), addr: ln.Addr().String()}
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		ln.Close()
		<-done
		require.NoError(t, s.err)
	})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			err = s.show(ctx, conn)
			s.mu.Lock()
			s.err = errors.Join(s.err, err)
			s.mu.Unlock()
		}
	}()
	return s
}

// show is a server of RFB: the handshake, and an answer to each request.
func (s *server) show(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	handshake := rfb.Server{Init: rfb.ServerInit{
		Width: uint16(s.screen.Width), Height: uint16(s.screen.Height), Format: encode.Format(), Name: "encode",
	}}
	if _, err := handshake.Accept(ctx, conn); err != nil {
		return nil // somebody who looked whether the port is open
	}
	var e encode.Encoder
	var in, out []byte
	for sent, part := 0, make([]byte, 4096); ; {
		n, err := conn.Read(part)
		if err != nil {
			return nil
		}
		for in = append(in, part[:n]...); ; {
			m, n, err := rfb.ParseClientMessage(in)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				break
			} else if err != nil {
				return err
			}
			in = in[n:]
			switch m := m.(type) {
			case *rfb.SetPixelFormat:
				if err := e.SetPixelFormat(m.Format); err != nil {
					return err
				}
				sent = 0
			case *rfb.SetEncodings:
				s.set(&e, m.Encodings)
				sent = 0
			case *rfb.FramebufferUpdateRequest:
				if sent == 2 && m.Incremental {
					continue
				}
				out = e.BeginUpdate(out[:0])
				if sent == 0 {
					out, _ = e.AppendCursor(out, s.cursor)
					out, _ = e.AppendDesktopSize(out, s.screen.Width, s.screen.Height, nil)
				}
				out, _ = e.AppendRect(out, 0, 0, s.screen, sent > 0 && !s.lossy)
				if _, err := conn.Write(e.EndUpdate(out)); err != nil {
					return nil
				}
				sent = min(sent+1, 2)
			}
		}
	}
}

// wanted is what the last viewer asked for.
func (s *server) wanted() []rfb.Encoding {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// set makes the encoder send one encoding only.
func (s *server) set(e *encode.Encoder, list []rfb.Encoding) {
	s.mu.Lock()
	s.asked = slices.Clone(list)
	s.mu.Unlock()
	e.SetEncodings(slices.DeleteFunc(list, func(enc rfb.Encoding) bool {
		return slices.Contains(encodings, enc) && enc != s.only
	}))
}

// collage is a screen with all that painters paint.
func collage(width, height int) encode.Image {
	r := rand.New(rand.NewPCG(7, 7))
	m := newImage(width, height)
	painters[5].paint(m, r)
	for i := range 4 * len(painters) {
		x, y := r.IntN(width/2), r.IntN(height/2)
		painters[i%len(painters)].paint(m.Sub(x, y, 1+r.IntN(width-x-1), 1+r.IntN(height-y-1)), r)
	}
	return m
}
