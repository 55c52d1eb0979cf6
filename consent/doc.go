// Package consent asks the user of a desktop session whether an administrator may watch it. It
// fails closed: only an explicit Yes, given in time, grants.
//
// A [Prompter] asks the user. [Exec] asks through a command, which package consent/runas runs, [Deny] and [Allow] answer without
// asking, and [Func] adapts a function. Package consent/desktop has the prompters for desktop
// sessions: a window, and a desktop notification. A [Banner] shows the user who is viewing. [Texts]
// has the texts of both in six languages, and [Texts.Wording] returns the texts for one request.
//
// This package needs only the standard library.
package consent
