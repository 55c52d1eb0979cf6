// Package anontls is the client's half of TLS 1.2 with an anonymous key exchange: VeNCrypt's TLSNone, TLSVnc and
// TLSPlain use it, and crypto/tls hasn't got it. It keeps out who only listens. It proves nothing about who the
// server is: whoever is in between can be the server to the client and the client to the server.
//
// It speaks as little of TLS as does that: two cipher suites of Diffie-Hellman with AES-GCM (RFC 5288), the
// extended master secret where the server has it (RFC 7627), the groups of RFC 7919 and others that are large enough.
// There are no sessions to resume, no renegotiation and no compression. TLS_ECDH_anon has no suite with AES-GCM, and
// what is known to offer it offers DH_anon as well. Where a comment names a section without a document, it is
// RFC 5246's.
package anontls
