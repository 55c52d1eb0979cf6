// Bench measures WebSocket to TCP gateways that carry RFB side by side:
// throughput, CPU per byte, latency, connection rate and memory. Linux only.
//
// It is both ends of the connection, the VNC server behind the gateway and the
// WebSocket client in front of it. It starts each gateway itself on loopback,
// waits for its port, runs one scenario, and stops it:
//
//	go build -o bin/bench ./tools/bench
//	bin/bench list                               # scenarios
//	bin/bench run -config tools/bench/peers.json -rounds 5
//	bin/bench report a.json b.json               # one table of several runs
//
// A gateway is one line in peers.json; what can stand in its command is at
// expand, the keys are at Peer. "gateway" is the subcommand that serves a
// wsproxy.Handler, "relay" the raw relay that all are compared with.
//
// # How it measures
//
// All of it happens in a network namespace that has nothing but loopback, where
// TCP uses reno: a congestion control that paces, such as BBR, arms a timer for
// every few packets, which costs several times what a proxy does, and makes all
// proxies look alike. -net host leaves the machine's network as it is.
//
// The harness's ends are made cheap, since they share the machine's cores with
// the gateway, and are the same for each. Bulk data is sent with sendfile(2)
// from a memfd, which copies nothing, and received with recv(2) and MSG_TRUNC,
// which drops it in the kernel (tcp(7)) and says how much it was. The client
// reads the header of each WebSocket frame, drops that frame's payload, and
// counts it; through a relay, which has no frames, it drops all. Over TLS it
// handshakes and upgrades like any client, then drops the records unread and
// counts their bytes, 0.13 % more than what is in them. Whoever uploads over TLS
// has to encrypt.
//
// -sink read makes both ends read, and the client decrypt, into 256 KiB of
// memory; -verify compares every byte besides, and all peers pass it. -copy
// sends with write(2), as a VNC server on the same host does.
//
// The peer wsproxy-inspecting is a wsproxy.Handler with a relay that passes on
// everything and looks at each message of the viewer: whether its type is known,
// and where it ends. It shows what that costs, which the view-only relay can't: that takes no more than 200
// messages a second from a viewer.
//
// CPU is that of the whole process tree, from a cpuacct cgroup of its own where
// there is cgroup v1, else from /proc in ticks of 10 ms. Memory is PSS.
//
// Rounds interleave: every round runs each peer once, in a fresh process. A run
// during which other programs used more than -maxother percent of the machine
// is repeated up to -retries times. Compare ratios to references of the same
// run; on a virtual machine differences under 15 % mean nothing. Latency is
// measured while a SCHED_IDLE process on each core keeps it from halting.
package main
