// Package doctor finds out whether a shadow would work on this host, and if not
// what to do: the documented troubleshooting list and more, each item with what
// was found.
//
//	d := doctor.Doctor{Session: "c2", Found: func(c doctor.Check) { fmt.Println(c.State, c.Name, c.Found) }}
//	report := d.Examine(ctx)
//	if !report.Works {
//		os.Exit(1)
//	}
//
// A shadow works if nothing is broken, and nothing that may be in its way was
// left unseen for want of rights or tools, or was not understood.
//
// It looks and doesn't change anything. What it starts ends before it returns:
// a child per session that says hello to the session's X server (and to its
// notification service, if that would ask) as the session's user and hangs up,
// the host's own tools that print firewall rules, and for the last check a
// virtual display with a shadow of it, which nobody is asked about since nobody
// is there.
//
// Programs that use it call xprobe.Child first thing in main.
package doctor
