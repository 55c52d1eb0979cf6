package source_test

import (
	"context"
	"fmt"
	"log"

	"vda.internal/shadow"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source"
	"vda.internal/shadow/source/capture"
)

// A display as an RFB server: without a viewer, how large it is.
func ExampleX11() {
	capture.Child() // first thing in main; it doesn't return in the processes that X11 starts
	session := &shadow.Session{User: "alice", UID: 1000, GID: 1000, Display: ":1", Xauthority: "/home/alice/.Xauthority"}
	conn, err := new(source.X11).Open(context.Background(), session)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	server, err := rfb.Connect(context.Background(), conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(server.Init.Width, server.Init.Height)
}
