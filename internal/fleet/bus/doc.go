// Package bus is the fleet's NATS: the server that a gate carries in itself, the keys and JWTs by which it
// knows hosts and gates, and the same for an organisation's own servers.
//
//	keys, err := bus.OpenKeys("/var/lib/shadowgate/bus", true)
//	server, err := bus.Start(bus.Options{Name: "gate1", Keys: keys, Dir: "/var/lib/shadowgate/bus", Listen: "0.0.0.0:4222", TLS: config})
//	conn, err := keys.Connect(ctx, "gate1", bus.Target{Server: server})
//
// Who may do what is decided by the server, from JWTs in NATS's operator mode: a host may publish its own
// presence and audit, hear what it is asked, and answer; nothing else. A gate may ask, and keep the lists. What hosts
// publish gates pass on to the streams ([Conn.Relay]).
package bus
