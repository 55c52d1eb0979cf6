package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"vda.internal/shadow/rfb"
)

// address splits HOST:PORT or unix:PATH.
func address(s string) (network, addr string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok && path != "" {
		return "unix", path, nil
	}
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		return "", "", usageError(fmt.Sprintf("%q is neither HOST:PORT nor unix:PATH", s))
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
		return nil, usageError(err.Error())
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
		return "", usageError("wants one FILE")
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
	t, cut := load(file)
	if t == nil {
		return cut
	}
	viewer, err := accept(ctx, *listen, stdout)
	if err != nil {
		return err
	}
	defer viewer.Close()
	return errors.Join(play(ctx, viewer, t, *speed), cut)
}

// play shows a trace to a viewer that can read it: one that wants the pixel
// format of the trace, and knows its encodings.
func play(ctx context.Context, viewer net.Conn, t *rfb.Trace, speed float64) error {
	h, err := t.Handshake()
	if err != nil {
		return err
	}
	if h.Refused || !h.Done() {
		return errors.New("the trace has no session")
	}
	init := h.Init
	if init.Format, err = asked(t, init.Format); err != nil {
		return err
	}
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
	if err := show(ctx, viewer, t, h.Len(rfb.FromServer), speed); err != nil {
		if why := context.Cause(ctx); why != nil {
			return why
		}
		return err
	}
	return nil
}

// asked is the pixel format that the trace's viewer asked for first.
func asked(t *rfb.Trace, format rfb.PixelFormat) (rfb.PixelFormat, error) {
	for e, err := range t.Events() {
		if err != nil {
			return format, err
		}
		switch m := e.Message.(type) {
		case *rfb.SetPixelFormat:
			return m.Format, nil
		case *rfb.FramebufferUpdate:
			return format, nil
		}
	}
	return format, nil
}

// show writes what the server said after its handshake.
func show(ctx context.Context, viewer net.Conn, t *rfb.Trace, skip int64, speed float64) error {
	begin := time.Now()
	for _, c := range t.Chunks {
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
	return nil
}

// listenTo reads what a viewer says, which changes nothing, and returns an
// error if it wants pixels of another format than the trace has. It returns nil
// when the viewer is gone, or says what it can't know how to read.
func listenTo(viewer io.Reader, format rfb.PixelFormat) error {
	var said []byte
	buf := make([]byte, 4<<10)
	for {
		n, err := viewer.Read(buf)
		said = append(said, buf[:n]...)
		for {
			m, n, err := rfb.ParseClientMessage(said)
			if err != nil {
				if !errors.Is(err, io.ErrUnexpectedEOF) || len(said) > 1<<20 {
					_, _ = io.Copy(io.Discard, viewer)
					return nil
				}
				break
			}
			said = said[n:]
			if set, ok := m.(*rfb.SetPixelFormat); ok && set.Format != format {
				return fmt.Errorf("the viewer wants pixels as %v, the trace has %v", set.Format, format)
			}
		}
		if err != nil {
			return nil
		}
	}
}
