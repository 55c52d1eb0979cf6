package vendors_test

import (
	"fmt"
	"log"

	"vda.internal/shadow/rfb/vendors"
)

// Which file a viewer of TightVNC 1.3 asks for, in a message as it travels.
func ExampleParseClientMessage() {
	m, n, err := vendors.ParseClientMessage([]byte("\x83\x00\x00\x09\x00\x00\x00\x00/etc/motd and what follows"))
	if err != nil {
		log.Fatal(err)
	}
	if file, ok := m.(*vendors.TightFileRequest); ok {
		fmt.Println(file.Path, n)
	}
	// Output: /etc/motd 17
}
