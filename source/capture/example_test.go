package capture_test

import (
	"fmt"

	"vda.internal/shadow"
	"vda.internal/shadow/source"
	"vda.internal/shadow/source/capture"
)

// A program that shows displays starts itself again to capture them: Child returns at once but in such a
// process, which it makes an RFB server on standard input.
func ExampleChild() {
	capture.Child() // first thing in main
	var from shadow.Source = &source.X11{MaxFPS: 15}
	fmt.Printf("%T\n", from)
	// Output: *source.X11
}
