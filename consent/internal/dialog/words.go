package dialog

// The words of the dialog, in English.
const (
	asks     = " wants to view your screen"                                // behind the administrator's name
	replaces = " is watching now and will be disconnected if you say Yes." // behind the name of who watches
	without  = "They cannot use your mouse or keyboard."
	denies   = "No"
	allows   = "Yes"
)

// The words of the banner.
const (
	views = " is viewing your screen"           // behind the administrator's name
	ended = " is no longer viewing your screen" // the same
	stops = "Stop"
)

// explains says what a Yes means, around the name of this host.
func explains() (before, after string) { return "They will see everything that you see on ", "." }

// lapses says what silence means, before and behind the number of seconds.
func lapses() (before, after string) { return "No answer in ", " s counts as No" }
