// Package websockify is the program of that name: a WebSocket end for any TCP
// or unix socket server, with the command line, messages and behaviour of the
// Python program, and a web server beside it.
//
//	func main() {
//		signals := make(chan os.Signal, 2)
//		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
//		os.Exit(websockify.Run(os.Args, signals, os.Stdout, os.Stderr))
//	}
//
// docs/websockify.md of this module says how to use it, and in what it differs
// from the Python program.
package websockify
