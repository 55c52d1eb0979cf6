// Bench measures WebSocket to TCP gateways that carry RFB side by side:
// throughput, CPU per byte, latency, connection rate and memory. Linux only.
//
// It is both ends of the connection, the VNC server behind the gateway and the
// WebSocket client in front of it. It starts each gateway itself on loopback,
// waits for its port, runs one scenario, and stops it:
//
//	go build -o bin/bench ./internal/bench
//	bin/bench list                               # scenarios
//	bin/bench run -config internal/bench/peers.json -rounds 5
//	bin/bench report a.json b.json               # one table of several runs
//
// A gateway is one line in peers.json; what can stand in its command is at
// expand, the keys are at Peer. "gateway" is the subcommand that serves a
// wsproxy.Handler, "relay" the raw relay that all are compared with.
//
// # How it measures
//
// The harness's ends are made cheap, since they share the machine's cores with
// the gateway: bulk data is sent with sendfile(2) from a memfd and received
// with MSG_TRUNC, which drops it in the kernel (not over TLS). -verify compares
// every byte instead; -copy sends with write(2), as a VNC server on the same
// host does, which makes gateways that copy about 40 % cheaper.
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
