// Package self tells source.X11 whether this program is able to capture: its two
// sides don't import each other.
package self

import "sync/atomic"

// Captures is set by capture.Child, when it returns.
var Captures atomic.Bool

// Arg is the first argument of a process that is to capture.
const Arg = "capture"

// Changed begins, behind the program's name, a line on standard error that says that another part
// of the screen is shown than before.
const Changed = "now shown: "

// CookieArg is the first argument of a process that is to find a display's cookie and then become
// another program; see package authority.
const CookieArg = "with-cookie"

// CookieFile stands, in that program's arguments, for the file with the cookie.
const CookieFile = "{authority}"
