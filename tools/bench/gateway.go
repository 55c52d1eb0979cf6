package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"time"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/wsproxy"
)

// gatewayMain is what is measured: a wsproxy.Handler, with the view-only relay,
// with one that only looks, or with none.
func gatewayMain(args []string) {
	fs := flag.NewFlagSet("gateway", flag.ExitOnError)
	listen := fs.String("listen", "127.0.0.1:0", "address to listen on")
	to := fs.String("target", "", "address to connect to")
	cert := fs.String("cert", "", "TLS certificate")
	key := fs.String("key", "", "TLS key")
	viewOnly := fs.Bool("view-only", false, "put the view-only relay in between")
	inspect := fs.Bool("inspect", false, "read each of the viewer's messages, and let it through")
	fs.Parse(args)
	h := &wsproxy.Handler{Dial: func(ctx context.Context, _ *http.Request) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", *to)
	}}
	switch {
	case *viewOnly:
		h.Relay = new(rfb.Relay)
	case *inspect:
		h.Relay = inspecting{}
	}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	ln = &wsproxy.Listener{Listener: ln}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	if *cert != "" {
		log.Fatal(s.ServeTLS(ln, *cert, *key))
	}
	log.Fatal(s.Serve(ln))
}
