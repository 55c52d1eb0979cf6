// Package self tells source.X11 whether this program is able to capture: its two
// sides don't import each other.
package self

import (
	"vda.internal/shadow/internal/host/selfexec"
)

// Arg is the first argument of a process that is to capture.
const Arg = "capture"

// Capture is the role of a process that is to capture: capture.Child takes it.
var Capture = selfexec.Role{Arg: Arg}

// Changed begins, behind the program's name, a line on standard error that says that another part
// of the screen is shown than before.
const Changed = "now shown: "

// Cookie is the role of a process that is to find a display's cookie and then become another program;
// see package authority.
var Cookie = selfexec.Role{Arg: "with-cookie"}

// CookieFile stands, in that program's arguments, for the file with the cookie.
const CookieFile = "{authority}"
