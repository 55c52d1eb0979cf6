package xconn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Families of an .Xauthority entry (Xauth.h).
const (
	familyLocal = 256    // address is a host's name
	familyWild  = 0xffff // any address
)

const (
	maxAuthority = 1 << 20 // bytes of a file
	maxCookies   = 8       // that are tried
)

// readCookies returns the cookies in file that may open the display, the most
// likely first. If there are none, and with an error, it returns one that is nil.
func readCookies(file string, display int) ([][]byte, error) {
	none := [][]byte{nil}
	if file == "" {
		return none, nil
	}
	// What is no plain file, such as a pipe that nobody writes to, is not waited for.
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return none, fmt.Errorf("the file with the cookie, %s, can't be read by the session's user: %w", file, cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return none, fmt.Errorf("the file with the cookie, %s, can't be read: %w", file, cause(err))
	}
	if !info.Mode().IsRegular() {
		return none, fmt.Errorf("the file with the cookie, %s, is no plain file", file)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxAuthority+1))
	if err != nil {
		return none, fmt.Errorf("the file with the cookie, %s, can't be read: %w", file, cause(err))
	}
	if len(data) > maxAuthority {
		return none, fmt.Errorf("the file with the cookie, %s, is larger than %d bytes", file, maxAuthority)
	}
	host, _ := os.Hostname() // without one, the wild entries come first
	if cookies := cookiesFor(parseAuthority(data), host, display); cookies != nil {
		return cookies, nil
	}
	return none, fmt.Errorf("%s has no cookie for display :%d", file, display)
}

// An authority is one entry of an .Xauthority file.
type authority struct {
	family          uint16
	address, number string
	protocol        string
	data            []byte
}

// parseAuthority reads the entries of a file (libXau, AuRead.c). Where the file
// stops making sense the entries so far count.
func parseAuthority(b []byte) []authority {
	var all []authority
	for len(b) >= 2 {
		a := authority{family: binary.BigEndian.Uint16(b)}
		b = b[2:]
		var field [4][]byte
		for i := range field {
			var err error
			if field[i], b, err = counted(b); err != nil {
				return all
			}
		}
		a.address, a.number, a.protocol, a.data = string(field[0]), string(field[1]), string(field[2]), field[3]
		all = append(all, a)
	}
	return all
}

// counted cuts a field off b: two bytes of length, then that many bytes.
func counted(b []byte) (field, rest []byte, err error) {
	if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
		return nil, nil, errors.New("an entry is cut off")
	}
	n := int(binary.BigEndian.Uint16(b))
	return b[2 : 2+n], b[2+n:], nil
}

// cookiesFor orders the cookies for a display of this host: those under
// its name, then those for any host, then the rest, which may be this host under a name
// or an address that it had before.
func cookiesFor(all []authority, host string, display int) [][]byte {
	rank := func(a authority) int {
		switch {
		case a.family == familyLocal && a.address == host:
			return 0
		case a.family == familyWild:
			return 1
		}
		return 2
	}
	number := strconv.Itoa(display)
	var fit []authority
	for _, a := range all {
		if a.protocol == cookieID && len(a.data) > 0 && (a.number == number || a.number == "") {
			fit = append(fit, a)
		}
	}
	slices.SortStableFunc(fit, func(a, b authority) int { return rank(a) - rank(b) })
	var cookies [][]byte
	for _, a := range fit {
		if !slices.ContainsFunc(cookies, func(c []byte) bool { return bytes.Equal(c, a.data) }) && len(cookies) < maxCookies {
			cookies = append(cookies, a.data)
		}
	}
	return cookies
}
