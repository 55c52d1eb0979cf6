// Package vendors has the messages that vendors have added to RFB: those of UltraVNC and of others
// that share its numbers, of KasmVNC, TightVNC's transfers of files, and gii, the general input
// interface. Package [vda.internal/shadow/rfb] has the standard's messages and those that most
// servers share; its relay knows the vendors' numbers and passes none of them on.
//
// A [vda.internal/shadow/rfb/trace.Event] has one of these as its Vendor. A program that prints the
// names of files that a captured session of TightVNC 1.3 has asked for:
//
//	package main
//
//	import (
//		"fmt"
//		"log"
//		"os"
//
//		"vda.internal/shadow/rfb/trace"
//		"vda.internal/shadow/rfb/vendors"
//	)
//
//	func main() {
//		r, err := trace.NewReader(os.Stdin)
//		if err != nil {
//			log.Fatal(err)
//		}
//		for event, err := range trace.Events(r.Chunks()) {
//			if err != nil {
//				log.Fatal(err)
//			}
//			if file, ok := event.Vendor.(*vendors.TightFileRequest); ok {
//				fmt.Println(file.Path)
//			}
//		}
//	}
//
// docs/rfb.md lists the messages, and what the relay does with them.
package vendors
