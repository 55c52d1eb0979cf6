package wsproxy

// How it works, for whoever changes it:
//
// The WebSocket library (nhooyr.io/websocket, RFC 6455) performs the handshake
// on a connection that Handler captured while it was hijacked; one file,
// upgrade.go, imports it. From then on each thing that is done with that
// connection has its place:
//
//   - intake reads. Data frames are parsed where they were read to, all of one
//     read at once, and their payload is unmasked into the stream's buffer.
//     Everything else, which is control frames and whatever is malformed, it
//     hands to the library, which reads from it as from the connection and
//     never sees data. Why: the library takes 4 to 13 µs for a message, and the
//     parser 0.04. What the library does see is judged by the library alone, but
//     for two rules about the order of data frames, which intake knows.
//   - inbox holds what the viewer sent until it is taken, and has a goroutine to
//     write it to the target only while there is something. A Relay can take it in the goroutine
//     that reads (Consume): to wake another one for a message costs a tenth of all that a relay of
//     typing costs.
//   - wire writes, one frame at a time under one mutex: header and payload in
//     one writev, or in one write of their TLS records. The library's own Write
//     costs two writes and two goroutine switches. Its pongs pass through here,
//     so that frames never mix, and its close frames are held back, so that
//     there is one. A frame that was begun is finished before another, even if
//     a deadline expires in its middle.
//   - download carries a target's bytes to the viewer. It waits for a socket
//     without a buffer, copies while little comes at a time, and lets the kernel
//     move bulk to a plain viewer through a pipe (Linux); the header goes ahead
//     with MSG_MORE. With a Relay in between, the relay's writes are the frames.
//   - pace decides how large a frame may be: what the viewer takes in a few tens
//     of milliseconds.
//   - control does what is due between data frames (pongs, pings, what follows a
//     time-out, the goodbye), one task after the other, in a goroutine that exists
//     only while there is one.
//
// Mutexes of a viewer, and what each is for: conn.mu the end, decided once; conn.writing one Write
// at a time; inbox.mu the stream from the viewer; wire.mu one frame at a time; wire.clock the write
// deadlines, which are moved while a frame is being written; wire.queue pongs, which the library
// hands over while a frame is being written; accepted.mu the records of a TLS connection; pipeSlot.mu
// the empty pipe, which a timer closes. No two of them are taken in different orders: writing before
// wire.mu before clock or accepted.mu; the others are taken alone.
//
// Goroutines of a viewer that lies idle: the handler's, in which the relay or the download runs,
// receive, and the library's own. The inbox's pump and control exist only while there is something
// to do. A Relay has its own. Package rfb's has three, one more with a Pauser, and one more with a
// ServerTimeout.
