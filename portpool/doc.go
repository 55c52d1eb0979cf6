// Package portpool hands out bound listeners from a small, fixed range of TCP
// ports.
//
// A viewer is told one port out of 6001–6099. X servers and sshd's X11 forwarding live in the same
// range, so another program may take a port that was free a moment ago. The pool therefore never
// hands out a number: it hands out a [Listener] that is already bound, and skips ports that other
// programs use.
//
//	var pool portpool.Pool // 6001–6099 on all addresses
//
//	ln, err := pool.Listen(ctx)
//	if err != nil {
//		return err // errors.Is(err, portpool.ErrExhausted): no port left
//	}
//	defer ln.Close() // the port is free again
//	fmt.Println("waiting on port", ln.Port())
//
//	viewer, err := ln.Accept()
//	if err != nil {
//		return err
//	}
//	defer viewer.Close()
//	ln.Hold() // nobody else gets in, nobody else gets the port
//	return serve(viewer)
//
// # The life of a slot
//
// A slot of the pool is in use from [Pool.Listen] until [Listener.Close]. In between,
// [Listener.Hold] stops listening but keeps the port: the kernel refuses connections, and no other
// program can bind the number. [Listener.Listen] starts listening again, or for the first time on a
// port from [Pool.Reserve]. [Pool.Replace] returns a listener for a client that takes over from
// another one; if no port is left, it inherits that client's slot.
//
// # How a port is held without listening
//
// Linux lets shutdown(2) end a socket's listening while it stays bound, and
// resets the connections that nobody had accepted; listen(2) starts it again.
// A bound socket that doesn't listen protects its port only without
// SO_REUSEADDR, and a listening one needs SO_REUSEADDR, or the remains of old
// connections in TIME_WAIT would keep it from being bound. So Hold switches
// the option off before the shutdown, and Replace switches it on right before
// the listen. Another program that binds and listens between these two system
// calls gets the port; Replace notices and looks for another one.
//
// The package needs Linux.
package portpool
