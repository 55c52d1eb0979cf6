// Package self tells source.X11 whether this program is able to capture: its two
// sides don't import each other.
package self

import "sync/atomic"

// Captures is set by capture.Child, when it returns.
var Captures atomic.Bool

// Arg is the first argument of a process that is to capture.
const Arg = "capture"
