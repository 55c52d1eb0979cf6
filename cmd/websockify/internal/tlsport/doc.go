// Package tlsport serves TLS and plain connections on one port, and reads the
// certificate anew for every connection, so that one that has been renewed
// counts at once.
//
//	certs := &tlsport.Certificates{CertFile: "self.pem"}
//	ln = tlsport.Listen(ln, tlsport.Options{Certificates: certs})
//	err := http.Serve(ln, handler) // *tls.Conn and *net.TCPConn, as they are
package tlsport
