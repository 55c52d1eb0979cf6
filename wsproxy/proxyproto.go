package wsproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// Bounds of a PROXY protocol header that is read
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
const (
	proxyTimeout = 5 * time.Second
	minProxyLine = 15      // "PROXY UNKNOWN" with its CRLF, the shortest of version 1 (§2.1)
	maxProxyLine = 107     // the longest
	proxyPrefix  = 16      // of version 2, up to and with the length (§2.2)
	maxProxyRest = 4 << 10 // of version 2, all that follows the length
)

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
			p.err = pkg.Errorf("PROXY protocol header: %w", p.err)
		}
		if !late.Stop() && p.err == nil {
			p.err = pkg.Errorf("PROXY protocol header: %w", os.ErrDeadlineExceeded)
		}
	})
	return p.err
}

// readProxyHeader reads a header of either version. The addresses are nil if
// the proxy speaks for itself or doesn't know.
func readProxyHeader(r io.Reader) (src, dst net.Addr, err error) {
	b, err := cutProxyHeader(r)
	if err != nil {
		return nil, nil, err
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), len(b)))
	if err != nil {
		return nil, nil, err
	}
	if s, d, ok := h.TCPAddrs(); ok && h.Command.IsProxy() {
		return s, d, nil
	}
	return nil, nil, nil
}

// cutProxyHeader reads a header's bytes and nothing beyond them: what follows
// is read from the socket by others, without a buffer.
func cutProxyHeader(r io.Reader) ([]byte, error) {
	b := make([]byte, minProxyLine, maxProxyLine)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	more := func(n int) error {
		b = append(b, make([]byte, n)...)
		_, err := io.ReadFull(r, b[len(b)-n:])
		return err
	}
	switch {
	case bytes.HasPrefix(b, proxyproto.SIGV1):
		for b[len(b)-1] != '\n' {
			if len(b) == maxProxyLine {
				return nil, proxyproto.ErrVersion1HeaderTooLong
			}
			if err := more(1); err != nil {
				return nil, err
			}
		}
		return b, nil
	case bytes.HasPrefix(b, proxyproto.SIGV2):
		if err := more(proxyPrefix - minProxyLine); err != nil {
			return nil, err
		}
		rest := binary.BigEndian.Uint16(b[proxyPrefix-2:])
		if rest > maxProxyRest {
			return nil, fmt.Errorf("%d bytes", rest)
		}
		return b, more(int(rest))
	}
	return nil, errNoProxyHeader
}

// errNoProxyHeader: a proxy that should have said who comes didn't.
var errNoProxyHeader = errors.New("there is none")

// proxyHeader is the header, of version 1 or 2, for a connection from src to
// dst. Without two addresses it says that they are unknown.
func proxyHeader(version int, src, dst netip.AddrPort) ([]byte, error) {
	if !src.IsValid() || !dst.IsValid() {
		return proxyproto.HeaderProxyFromAddrs(byte(version), nil, nil).Format()
	}
	return proxyproto.HeaderProxyFromAddrs(byte(version), net.TCPAddrFromAddrPort(src), net.TCPAddrFromAddrPort(dst)).Format()
}
