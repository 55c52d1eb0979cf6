// Package rfc6455 has what our own handshakes need of the WebSocket protocol.
package rfc6455

import (
	"crypto/sha1"
	"encoding/base64"
)

// Accept is the value of Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 §4.2.2).
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
