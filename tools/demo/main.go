package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"vda.internal/shadow/internal/viewer"
)

// onceLimit bounds a demo without a person.
const onceLimit = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run plays the demo until ctx ends, or once.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "localhost:8080", "`host:port` of the page; another port is taken if it is in use")
	once := flags.Bool("once", false, "play it with a headless Chromium, write demo.png and exit")
	shadowd := flags.String("shadowd", "bin/shadowd", "`path` of shadowd")
	shadowgate := flags.String("shadowgate", "bin/shadowgate", "`path` of shadowgate")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *once {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, onceLimit, fmt.Errorf("not done after %v", onceLimit))
		defer cancel()
	}
	if _, err := viewer.FS(); err != nil {
		return err
	}
	ln, err := listen(*addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	return play(ctx, ln, *shadowd, *shadowgate, *once, stdout)
}

// listen binds addr, or another port of the same host if that one is taken.
func listen(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	network := "tcp"
	if net.ParseIP(host).To4() != nil {
		network = "tcp4" // "tcp" would take all of IPv6 with 0.0.0.0
	}
	ln, err := net.Listen(network, addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return net.Listen(network, net.JoinHostPort(host, "0"))
	}
	return ln, err
}

// play starts the four parts, each on top of the one before, and ends them in
// the other order.
func play(ctx context.Context, ln net.Listener, shadowd, shadowgate string, once bool, stdout io.Writer) (err error) {
	fmt.Fprintln(stdout, "Starting a desktop, shadowd and shadowgate …")
	desktop, err := startDesktop(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, desktop.Close()) }()
	daemon, err := startDaemon(ctx, shadowd, desktop)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.stop()) }()
	gate, err := startGate(ctx, shadowgate, daemon.client.Socket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gate.stop()) }()
	page := newPage(desktop, gate)
	served := page.serve(ln)
	defer func() { err = errors.Join(err, page.shutdown(), <-served) }()

	url := pageURL(ln.Addr().(*net.TCPAddr))
	if once {
		return playOnce(ctx, url, desktop, daemon.client, gate.password, stdout)
	}
	fmt.Fprintf(stdout, "\n  Open %s\n\n", url)
	fmt.Fprintln(stdout, "  Press Ask to view in the right half, then Yes in the desktop in the left half. Ctrl-C here ends the demo.")
	select {
	case <-ctx.Done():
		fmt.Fprintln(stdout, "\nEnding.")
		return nil
	case <-daemon.done():
		return daemon.failure("ended")
	case <-gate.done():
		return gate.failure("ended")
	case <-desktop.Done():
		return errors.New("the desktop's X server ended")
	}
}

// pageURL is the address to open for a listener.
func pageURL(a *net.TCPAddr) string {
	host := "localhost"
	if !a.IP.IsLoopback() && !a.IP.IsUnspecified() {
		host = a.IP.String()
	}
	if name, err := os.Hostname(); err == nil && a.IP.IsUnspecified() {
		host = name
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(a.Port)) + start
}
