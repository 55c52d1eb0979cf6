package xprobe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/xsession"
)

// minSetup is the fixed part of a server's answer, in bytes.
const minSetup = 40

// dial connects, hears the server out and hangs up.
func dial(display, xauthority string, deadline time.Time) (*Screen, error) {
	if !xsession.IsDisplay(display) {
		return nil, &Error{NoServer, fmt.Sprintf("%.40q isn't a display of this host", display)}
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(display, ":"), ".")
	// Without a cookie the server may still know the user, so it is asked.
	cookies, cookieErr := readCookies(xauthority, number)
	for {
		screen, err := try("/tmp/.X11-unix/X"+number, cookies[0], deadline)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Refused {
			return screen, err
		}
		if cookieErr != nil {
			return nil, &Error{NoCookie, cookieErr.Error()}
		}
		if cookies = cookies[1:]; len(cookies) == 0 {
			return nil, err
		}
	}
}

// try connects with one cookie, nil for none, to the display's socket or, as
// the question does, to the abstract one that X servers have besides.
func try(path string, cookie []byte, deadline time.Time) (*Screen, error) {
	conn, err := open(path, deadline)
	if err != nil {
		abstract, abstractErr := open("@"+path, deadline)
		if abstractErr != nil {
			return nil, err
		}
		conn = abstract
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	return setUp(conn, cookie)
}

// open connects to a socket of the user's own X server, or of root's: anybody
// may make a socket of that name while no X server does.
func open(address string, deadline time.Time) (net.Conn, error) {
	d := net.Dialer{Deadline: deadline}
	conn, err := d.Dial("unix", address)
	if err != nil {
		return nil, &Error{NoServer, fmt.Sprintf("no X server answers at %s: %v", address, cause(err))}
	}
	owner, err := ownerOf(conn.(*net.UnixConn))
	if err == nil && owner != 0 && owner != uint32(os.Getuid()) {
		err = &Error{Stranger, fmt.Sprintf("the X server at %s is uid %d's, neither root's nor the session's user's", address, owner)}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// ownerOf is who was listening when the socket was made.
func ownerOf(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, fmt.Errorf("whose X server it is: %w", credErr)
	}
	return cred.Uid, nil
}

// setUp does the connection set-up.
func setUp(conn io.ReadWriter, cookie []byte) (*Screen, error) {
	name := cookieID
	if cookie == nil {
		name = ""
	}
	req := []byte{'l', 0, 11, 0, 0, 0}
	req = binary.LittleEndian.AppendUint16(req, uint16(len(name)))
	req = binary.LittleEndian.AppendUint16(req, uint16(len(cookie)))
	req = append(req, 0, 0)
	req = pad(append(req, name...))
	req = pad(append(req, cookie...))
	if _, err := conn.Write(req); err != nil {
		return nil, &Error{NoServer, fmt.Sprintf("the X server took no set-up: %v", cause(err))}
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, &Error{NoServer, fmt.Sprintf("the X server gave no answer: %v", cause(err))}
	}
	body := make([]byte, 4*int(binary.LittleEndian.Uint16(head[6:]))) // 256 KiB at most
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, &Error{NoServer, fmt.Sprintf("the X server gave half an answer: %v", cause(err))}
	}
	if head[0] != 1 {
		reason := body
		if head[0] == 0 {
			reason = body[:min(int(head[1]), len(body))]
		}
		return nil, &Error{Refused, fmt.Sprintf("the X server refuses: %q", strings.TrimRight(string(reason), "\x00\n ."))}
	}
	return parseSetup(body)
}

// parseSetup reads what follows the first eight bytes of a server's Yes.
func parseSetup(b []byte) (*Screen, error) {
	bad := &Error{NoServer, "what answers isn't an X server"}
	if len(b) < minSetup-8 {
		return nil, bad
	}
	vendor := int(binary.LittleEndian.Uint16(b[16:]))
	screens, formats := int(b[20]), int(b[21])
	at := minSetup - 8 + (vendor+3)&^3 + 8*formats // of the first SCREEN
	if screens == 0 || len(b) < at+24 {
		return nil, bad
	}
	return &Screen{
		Vendor: strings.ToValidUTF8(string(b[minSetup-8:minSetup-8+vendor]), "?"),
		Width:  int(binary.LittleEndian.Uint16(b[at+20:])),
		Height: int(binary.LittleEndian.Uint16(b[at+22:])),
	}, nil
}

func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// cause is an error in few words, without addresses and paths.
func cause(err error) error {
	var sys *os.SyscallError
	var file *fs.PathError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("it is silent")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it hung up")
	case errors.As(err, &sys):
		return sys.Err
	case errors.As(err, &file):
		return file.Err
	}
	return err
}

const (
	cookieID     = "MIT-MAGIC-COOKIE-1"
	maxAuthority = 1 << 20 // bytes of a file
	maxCookies   = 8       // that are tried
)

// readCookies returns the cookies in file for a display, in the file's order.
// Without a file, and with an error, it is one that is nil.
func readCookies(file, number string) ([][]byte, error) {
	none := [][]byte{nil}
	if file == "" {
		return none, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return none, fmt.Errorf("the file with the cookie, %s, can't be read by the session's user: %w", file, cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxAuthority))
	if err != nil {
		return none, fmt.Errorf("the file with the cookie, %s, can't be read: %w", file, cause(err))
	}
	cookies := cookiesFor(data, number)
	if len(cookies) == 0 {
		return none, fmt.Errorf("%s has no cookie for display :%s", file, number)
	}
	return cookies[:min(len(cookies), maxCookies)], nil
}

// cookiesFor takes the cookies for a display out of an .Xauthority file:
// entries of a family and four counted strings, big-endian (libXau, AuRead.c).
// Those for other hosts count too, since this one may have had their names.
func cookiesFor(b []byte, number string) (cookies [][]byte) {
	for len(b) >= 2 {
		b = b[2:] // the family
		var field [4][]byte
		for i := range field {
			if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
				return cookies
			}
			n := 2 + int(binary.BigEndian.Uint16(b))
			field[i], b = b[2:n], b[n:]
		}
		if string(field[2]) == cookieID && len(field[3]) > 0 && (len(field[1]) == 0 || string(field[1]) == number) {
			cookies = append(cookies, field[3])
		}
	}
	return cookies
}
