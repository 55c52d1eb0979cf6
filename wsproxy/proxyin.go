package wsproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// Bounds of a PROXY protocol header that is read.
const (
	proxyTimeout = 5 * time.Second
	maxProxyLine = 107     // version 1, with its CRLF (§2.1)
	maxProxyTLVs = 4 << 10 // version 2, all that follows the length
)

// errNoProxyHeader: a proxy that should have said who comes didn't.
var errNoProxyHeader = errors.New("no PROXY protocol header")

// A proxied is what the proxy in front of a connection says of the client.
// Nil is a connection without a proxy.
type proxied struct {
	once     sync.Once
	src, dst net.Addr // nil: unknown
	err      error
}

// read reads the header, once.
func (p *proxied) read(c net.Conn) error {
	if p == nil {
		return nil
	}
	p.once.Do(func() {
		// Not by a deadline: those are the user's.
		late := time.AfterFunc(proxyTimeout, func() { c.Close() })
		if p.src, p.dst, p.err = readProxyHeader(c); p.err != nil {
			p.err = fmt.Errorf("wsproxy: %w", p.err)
		}
		if !late.Stop() && p.err == nil {
			p.err = fmt.Errorf("wsproxy: PROXY protocol header: %w", os.ErrDeadlineExceeded)
		}
	})
	return p.err
}

// readProxyHeader reads a header of either version and nothing beyond it. The
// addresses are nil if the proxy speaks for itself or doesn't know.
func readProxyHeader(r io.Reader) (src, dst net.Addr, err error) {
	var b [16]byte
	if _, err := io.ReadFull(r, b[:12]); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errNoProxyHeader, err)
	}
	switch {
	case string(b[:12]) == proxySignature:
		if _, err := io.ReadFull(r, b[12:]); err != nil {
			return nil, nil, fmt.Errorf("PROXY protocol header: %w", err)
		}
		return readProxyBinary(r, b[12], b[13], binary.BigEndian.Uint16(b[14:]))
	case string(b[:6]) == "PROXY ":
		return readProxyLine(r, b[:12:12])
	}
	return nil, nil, errNoProxyHeader
}

// readProxyLine reads the rest of a header of version 1 (§2.1).
func readProxyLine(r io.Reader, line []byte) (src, dst net.Addr, err error) {
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxProxyLine {
			return nil, nil, errors.New("PROXY protocol header: line too long")
		}
		line = append(line, 0)
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return nil, nil, fmt.Errorf("PROXY protocol header: %w", err)
		}
	}
	f := strings.Split(string(line[:len(line)-2]), " ")
	switch {
	case f[1] == "UNKNOWN":
		return nil, nil, nil
	case len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6":
		return nil, nil, fmt.Errorf("PROXY protocol header: malformed %q", line)
	}
	s, err := netip.ParseAddrPort(net.JoinHostPort(f[2], f[4]))
	if err != nil {
		return nil, nil, fmt.Errorf("PROXY protocol header: %w", err)
	}
	d, err := netip.ParseAddrPort(net.JoinHostPort(f[3], f[5]))
	if err != nil {
		return nil, nil, fmt.Errorf("PROXY protocol header: %w", err)
	}
	return net.TCPAddrFromAddrPort(s), net.TCPAddrFromAddrPort(d), nil
}

// readProxyBinary reads the rest of a header of version 2 (§2.2). What else it
// tells of the connection is skipped.
func readProxyBinary(r io.Reader, command, family byte, length uint16) (src, dst net.Addr, err error) {
	if command>>4 != 2 || command&15 > 1 {
		return nil, nil, fmt.Errorf("PROXY protocol header: version and command %#x", command)
	}
	if length > maxProxyTLVs {
		return nil, nil, fmt.Errorf("PROXY protocol header of %d bytes", length)
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, nil, fmt.Errorf("PROXY protocol header: %w", err)
	}
	size := 0
	switch family >> 4 {
	case 1:
		size = 4
	case 2:
		size = 16
	}
	switch {
	case command&15 == 0, size == 0: // LOCAL: the proxy's own; or no IP
		return nil, nil, nil
	case len(b) < 2*size+4:
		return nil, nil, fmt.Errorf("PROXY protocol header: %d bytes for addresses", len(b))
	}
	s, _ := netip.AddrFromSlice(b[:size])
	d, _ := netip.AddrFromSlice(b[size : 2*size])
	ports := b[2*size:]
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(s, binary.BigEndian.Uint16(ports))),
		net.TCPAddrFromAddrPort(netip.AddrPortFrom(d, binary.BigEndian.Uint16(ports[2:]))), nil
}
