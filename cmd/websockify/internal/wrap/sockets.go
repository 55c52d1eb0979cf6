package wrap

import (
	"bufio"
	"encoding/binary"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// A socket is one of this network namespace's TCP sockets.
type socket struct {
	local, remote netip.AddrPort // IPv4 in IPv6 is IPv4
	state         string
	uid           uint32 // of who listens, or has accepted it
	inode         uint64 // 0: nobody holds it, because it isn't accepted yet, or is closed
}

func (s socket) listens() bool { return s.state == "0A" }

// tcpSockets reads the kernel's tables (proc(5), /proc/net/tcp), those that listen first in each.
func tcpSockets() (found []socket) {
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if s, ok := parseSocket(lines.Text()); ok {
				found = append(found, s)
			}
		}
		f.Close()
	}
	return found
}

// parseSocket reads a line of the table: number, local address, remote address, state, …, uid as the eighth, and inode
// as the tenth.
func parseSocket(line string) (s socket, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return s, false
	}
	local, ok1 := parseAddress(fields[1])
	remote, ok2 := parseAddress(fields[2])
	uid, err1 := strconv.ParseUint(fields[7], 10, 32)
	inode, err2 := strconv.ParseUint(fields[9], 10, 64)
	return socket{local, remote, fields[3], uint32(uid), inode}, ok1 && ok2 && err1 == nil && err2 == nil
}

// parseAddress reads an address as the table has it: each 32 bits as a number of this machine's, and the port.
func parseAddress(text string) (netip.AddrPort, bool) {
	host, portText, _ := strings.Cut(text, ":")
	port, err := strconv.ParseUint(portText, 16, 16)
	if err != nil || len(host)%8 != 0 {
		return netip.AddrPort{}, false
	}
	var b []byte
	for ; host != ""; host = host[8:] {
		word, err := strconv.ParseUint(host[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		b = binary.NativeEndian.AppendUint32(b, uint32(word))
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), ok
}
