// Package xconn opens connections to X servers on this host for xgb and takes
// away what xgb can't bear or doesn't show:
//
//   - a server that is neither root's nor the own user's is refused ([StrangerError]);
//   - the cookie is looked up here, for the cases that xgb's lookup misses;
//   - the set-up has a deadline, and a refusal of any length is an error;
//   - input that another client made up (SendEvent) is dropped;
//   - GenericEvents, which would put xgb out of step, are dropped;
//   - a reply of more than 4 MB is read over, and its request gets an Alloc error;
//   - when the server goes away [Conn.Gone] says so and xgb, which would panic, is
//     left waiting.
//
// See the X Window System Protocol, X Version 11, chapters 8 and 11 and appendix B.
package xconn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/xgb"
)

// A Conn is a connection for xgb's requests. Once the server is lost it can't be closed
// without a panic of xgb's, so it belongs into a process that exits soon after.
type Conn struct {
	*xgb.Conn
	Display string // the name that it was dialled by

	f *filter
}

// Gone is closed when the connection has ended from the other side, or the
// server has sent something that is no X11. Requests that wait for a reply
// then wait for ever.
func (c *Conn) Gone() <-chan struct{} { return c.f.gone }

// OnGenericEvent has told called for each GenericEvent, with the major opcode of its
// extension and its kind. The rest of the event is dropped. It is called where replies are
// read, so it mustn't wait for one.
func (c *Conn) OnGenericEvent(told func(extension byte, event uint16)) {
	c.f.generic.Store(&told)
}

// SendDescriptor sends a request that has no reply, with a file descriptor beside it,
// which stays the caller's, and returns the server's error. xgb knows the requests of
// MIT-SHM 1.2 but has no way to pass descriptors.
func (c *Conn) SendDescriptor(request []byte, fd int) error {
	c.f.mu.Lock()
	c.f.passing[&request[0]] = fd
	c.f.mu.Unlock()
	cookie := c.NewCookie(true, false)
	c.NewRequest(request, cookie)
	return cookie.Check()
}

// Dial connects to a display of this host, ":1" or "unix:1.0"; the screen, which is 0
// unless it is named, is the connection's DefaultScreen. The file
// xauthority holds its cookie; without a file, or a cookie in it, the server is
// asked all the same. A server that belongs to anybody but root and the user of this
// process is refused. The whole must be done within timeout.
//
// An error is a [*StrangerError], a [*RefusedError], a [*CookieError], or any other if nothing
// that is an X server answers.
func Dial(display, xauthority string, timeout time.Duration) (*Conn, error) {
	conn, setup, _, err := connect(display, xauthority, timeout)
	if err != nil {
		return nil, err
	}
	f := newFilter(conn, setup)
	x, err := xgb.NewConnNet(f)
	if err != nil {
		conn.Close()
		return nil, err
	}
	_, x.DefaultScreen, _ = parseDisplay(display) // connect has seen that it is good
	return &Conn{Conn: x, Display: display, f: f}, nil
}

// Probe reports whether Dial would succeed now. It returns what the server says of itself:
// its whole answer to the set-up, of at least 40 bytes, none of which but the first eight were
// looked at.
func Probe(display, xauthority string, timeout time.Duration) (setup []byte, err error) {
	conn, setup, _, err := connect(display, xauthority, timeout)
	if err != nil {
		return nil, err
	}
	return setup, conn.Close()
}

// Cookie is the cookie with which Dial succeeds now; nil if that needs none.
func Cookie(display, xauthority string, timeout time.Duration) ([]byte, error) {
	conn, _, cookie, err := connect(display, xauthority, timeout)
	if err != nil {
		return nil, err
	}
	return cookie, conn.Close()
}

// connect connects and does the set-up. It returns the server's part of it, and the cookie
// that it took.
func connect(display, xauthority string, timeout time.Duration) (c net.Conn, setup, cookie []byte, err error) {
	number, _, err := parseDisplay(display)
	if err != nil {
		return nil, nil, nil, err
	}
	// Without a cookie the server may still know us by our uid, so it is asked.
	cookies, cookieErr := readCookies(xauthority, number)
	deadline := time.Now().Add(timeout)
	for {
		conn, setup, err := try(number, cookies[0], deadline)
		refused, ok := errors.AsType[*RefusedError](err)
		switch {
		case !ok:
			return conn, setup, cookies[0], err
		case cookieErr != nil:
			return nil, nil, nil, &CookieError{Err: cookieErr, Refused: refused}
		}
		if cookies = cookies[1:]; len(cookies) == 0 {
			return nil, nil, nil, err
		}
	}
}

// try makes one attempt with one cookie.
func try(number int, cookie []byte, deadline time.Time) (net.Conn, []byte, error) {
	conn, err := open(number, deadline)
	if err != nil {
		return nil, nil, err
	}
	err = conn.SetDeadline(deadline)
	var setup []byte
	if err == nil {
		setup, err = setUp(conn, cookie)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, setup, nil
}

// parseDisplay takes a display's name apart. Displays of other hosts are
// refused: a session's display is always on its own.
func parseDisplay(display string) (number, screen int, err error) {
	host, rest, ok := strings.Cut(display, ":")
	digits, screenDigits, hasScreen := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(digits, 10, 16)
	var m uint64
	if hasScreen && err == nil {
		m, err = strconv.ParseUint(screenDigits, 10, 8)
	}
	if !ok || err != nil {
		return 0, 0, fmt.Errorf("%.40q is not the name of a display such as :1", display)
	}
	if host != "" && host != "unix" {
		return 0, 0, fmt.Errorf("%.40q is not a display of this host", display)
	}
	return int(n), int(m), nil
}

// cookieID is the one kind of authorisation that is known here.
const cookieID = "MIT-MAGIC-COOKIE-1"

// minSetup is the fixed part of a server's answer in bytes, which xgb reads
// without looking.
const minSetup = 40

// setUp sends the connection set-up with the cookie, nil for none, and returns
// the server's answer, for xgb to read again.
func setUp(conn io.ReadWriter, cookie []byte) ([]byte, error) {
	name := cookieID
	if cookie == nil {
		name = ""
	}
	req := []byte{'l', 0, 11, 0, 0, 0}
	req = binary.LittleEndian.AppendUint16(req, uint16(len(name)))
	req = binary.LittleEndian.AppendUint16(req, uint16(len(cookie)))
	req = append(req, 0, 0)
	req = append(req, name...)
	req = append(req, make([]byte, -len(req)&3)...)
	req = append(req, cookie...)
	req = append(req, make([]byte, -len(req)&3)...)
	if _, err := conn.Write(req); err != nil {
		return nil, fmt.Errorf("the X server took no set-up: %w", cause(err))
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, fmt.Errorf("the X server gave no answer: %w", cause(err))
	}
	// At most 262,140 bytes: the length is 16 bits of four-byte units.
	answer := make([]byte, 8+4*int(binary.LittleEndian.Uint16(head[6:])))
	copy(answer, head)
	if _, err := io.ReadFull(conn, answer[8:]); err != nil {
		return nil, fmt.Errorf("the X server gave half an answer: %w", cause(err))
	}
	if answer[0] != 1 {
		reason := answer[8:]
		if answer[0] == 0 && int(answer[1]) <= len(reason) {
			reason = reason[:answer[1]]
		}
		return nil, &RefusedError{strings.TrimRight(string(reason), "\x00\n ")}
	}
	if major := binary.LittleEndian.Uint16(answer[2:]); major != 11 {
		return nil, fmt.Errorf("the X server speaks version %d, not 11", major)
	}
	if len(answer) < minSetup {
		return nil, errors.New("the X server's answer is too short")
	}
	return answer, nil
}
