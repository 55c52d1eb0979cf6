// Package enrol has what a host and a gate say to each other once, over HTTPS, when the host enters the
// fleet: an invitation's code, the proof of the host's key, and what the host writes down. It links no NATS.
//
//	c, err := enrol.Enroll(ctx, "https://gate.corp.example", code, enrol.Host{ID: "vda-17", Name: "vda-17.corp.example"})
//	err = c.Save("/etc/xdl/shadowing.creds")
package enrol
