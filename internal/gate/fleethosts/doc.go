// Package fleethosts is the hosts of a fleet as a gate has them: the list, what each has said of itself, what
// happens there, and what is asked of it, all by the bus.
//
//	d := fleethosts.New(conn, fleethosts.Options{Fleet: keys.Fleet()})
//	g, err := gate.New(gate.Config{Directory: d, Activity: d.Activity(), …})
//
// A host's presence, answers and audit are believed only with its own signature. A [Directory] keeps
// nothing: another gate on the same bus has the same.
package fleethosts
