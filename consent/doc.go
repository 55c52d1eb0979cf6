// Package consent asks the user of a desktop session whether an administrator
// may watch it, and fails closed: only an explicit Yes, given in time, grants.
//
// A [Prompter] asks. [Exec] puts the question through a command, [Deny] and [Allow] answer
// without asking, and [Func] makes a prompter of a function. Package consent/desktop has those
// that real sessions want: a window of its own, and a notification of the desktop. A [Banner]
// tells the user who is viewing. [Texts] are the words of both in six languages, and
// [Texts.Wording] is what they say of one request.
//
// This package needs nothing but the standard library.
package consent
