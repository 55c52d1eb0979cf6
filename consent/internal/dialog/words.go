package dialog

// The words of the dialog, in English.
const (
	asks     = " wants to view your screen"                                // behind the administrator's name
	replaces = " is watching now and will be disconnected if you say Yes." // behind the name of who watches
	denies   = "No"
	allows   = "Yes"
)

// explains says what a Yes means on a host.
func explains(host string) string {
	return "They will see everything on your screen on " + host + ", as long as they are connected. " +
		"They cannot use your mouse or keyboard."
}

// lapses says what silence means, before and behind the number of seconds.
func lapses() (before, after string) { return "No answer in ", " s counts as No" }
