package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"vda.internal/shadow/internal/usage"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/trace"
)

// address splits HOST:PORT or unix:PATH.
func address(s string) (network, addr string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok && path != "" {
		return "unix", path, nil
	}
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		return "", "", usage.Errorf("%q is neither HOST:PORT nor unix:PATH", s)
	}
	if net.ParseIP(host).To4() != nil {
		return "tcp4", s, nil // with "tcp", 0.0.0.0 is all of IPv6 as well
	}
	return "tcp", s, nil
}

// parse reads a command's flags and FILEs; -h is flag.ErrHelp.
func parse(f *flag.FlagSet, args []string) (files []string, err error) {
	f.SetOutput(io.Discard)
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, &usage.Error{Err: err}
	}
	return f.Args(), nil
}

// parseOne is parse of a command that has one FILE.
func parseOne(f *flag.FlagSet, args []string) (file string, err error) {
	files, err := parse(f, args)
	switch {
	case err != nil:
		return "", err
	case len(files) != 1:
		return "", usage.Errorf("wants one FILE")
	}
	return files[0], nil
}

// accept waits for one viewer.
func accept(ctx context.Context, listen string, stdout io.Writer) (net.Conn, error) {
	network, addr, err := address(listen)
	if err != nil {
		return nil, err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	fmt.Fprintf(stdout, "waiting for a viewer on %v\n", ln.Addr())
	conn, err := ln.Accept()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}

func replay(ctx context.Context, args []string, stdout *os.File) error {
	f := flag.NewFlagSet("replay", flag.ContinueOnError)
	listen := f.String("listen", "", "")
	speed := f.Float64("speed", 1, "")
	file, err := parseOne(f, args)
	if err != nil {
		return err
	}
	s, err := open(file)
	if err != nil {
		return err
	}
	defer s.close()
	viewer, err := accept(ctx, *listen, stdout)
	if err != nil {
		return err
	}
	defer viewer.Close()
	return errors.Join(play(ctx, viewer, s, *speed), s.cut)
}

// play shows a trace to a viewer that can read it: one that wants the pixel
// format of the trace, and knows its encodings.
func play(ctx context.Context, viewer net.Conn, s *source, speed float64) error {
	next, stopReading := iter.Pull2(s.chunks())
	defer stopReading()
	before, h, err := opening(next)
	if err != nil {
		return err
	}
	init := h.init
	if _, err := (&rfb.Server{Init: init}).Accept(ctx, viewer); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { viewer.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer viewer.Close()
	wg.Go(func() {
		if err := listenTo(viewer, init.Format); err != nil {
			cancel(err)
		}
	})
	if err := show(ctx, viewer, before, next, h.skip, speed); err != nil {
		if why := context.Cause(ctx); why != nil {
			return why
		}
		return err
	}
	return nil
}

// A start is how a trace begins.
type start struct {
	init rfb.ServerInit // with the pixel format that the viewer asked for first
	skip int64          // bytes of the server's handshake
}

// maxOpening is how much of a trace may come before the first update.
const maxOpening = 64 << 20

// opening reads on until it is known how the trace begins, and returns what it has
// read for that.
func opening(next func() (trace.Chunk, error, bool)) (read []trace.Chunk, s start, err error) {
	var d trace.Decoder
	h := d.Handshake()
	known := func() start {
		return start{init: h.Init, skip: h.Len(rfb.FromServer)}
	}
	for size := 0; size < maxOpening; {
		c, err, ok := next()
		if !ok {
			if h.Refused || !h.Done() {
				return nil, s, errors.New("the trace has no session")
			}
			return read, known(), nil
		}
		if err != nil {
			return nil, s, err
		}
		read, size = append(read, c), size+len(c.Data)
		for e, err := range d.Feed(c) {
			if err != nil {
				return nil, s, err
			}
			switch m := e.Message.(type) {
			case *rfb.SetPixelFormat:
				s = known()
				s.init.Format = m.Format
				return read, s, nil
			case *rfb.FramebufferUpdate:
				return read, known(), nil
			}
		}
	}
	return nil, s, fmt.Errorf("the trace has no update in its first %d bytes", maxOpening)
}

// show prints what the server sends after the handshake, starting with bytes already
// read.
func show(ctx context.Context, viewer net.Conn, before []trace.Chunk, next func() (trace.Chunk, error, bool), skip int64, speed float64) error {
	begin := time.Now()
	for {
		var c trace.Chunk
		if len(before) > 0 {
			c, before = before[0], before[1:]
		} else {
			var err error
			var ok bool
			if c, err, ok = next(); !ok || err != nil {
				return err
			}
		}
		if c.From != rfb.FromServer {
			continue
		}
		n := min(skip, int64(len(c.Data)))
		skip -= n
		if c.Data = c.Data[n:]; len(c.Data) == 0 {
			continue
		}
		if speed > 0 {
			select {
			case <-time.After(time.Until(begin.Add(time.Duration(float64(c.At) / speed)))):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if _, err := viewer.Write(c.Data); err != nil {
			return err
		}
	}
}

// listenTo reads what a viewer says, which changes nothing, and returns an
// error if it wants pixels of another format than the trace has. It returns nil
// when the viewer is gone, or says what it can't know how to read.
func listenTo(viewer io.Reader, format rfb.PixelFormat) error {
	d := trace.NewDecoder(format)
	buf := make([]byte, 4<<10)
	for {
		n, err := viewer.Read(buf)
		for e, err := range d.Feed(trace.Chunk{From: rfb.FromViewer, Data: buf[:n]}) {
			if err != nil {
				_, _ = io.Copy(io.Discard, viewer)
				return nil
			}
			if set, ok := e.Message.(*rfb.SetPixelFormat); ok && set.Format != format {
				return fmt.Errorf("the viewer wants pixels as %v, the trace has %v", set.Format, format)
			}
		}
		if err != nil {
			return nil
		}
	}
}
