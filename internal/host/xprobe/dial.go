package xprobe

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"vda.internal/shadow/internal/host/xconn"
)

// dial connects, hears the server out and hangs up.
func dial(display, xauthority string, timeout time.Duration) (*Screen, error) {
	answer, err := xconn.Probe(display, xauthority, timeout)
	if err != nil {
		return nil, &Error{kindOf(err), err.Error()}
	}
	return parseSetup(answer)
}

// kindOf is what is wrong if connecting failed with err.
func kindOf(err error) Kind {
	var stranger *xconn.StrangerError
	var cookie *xconn.CookieError
	var refused *xconn.RefusedError
	switch {
	case errors.As(err, &stranger):
		return Stranger
	case errors.As(err, &cookie):
		return NoCookie
	case errors.As(err, &refused):
		return Refused
	}
	return NoServer
}

// parseSetup reads a server's answer to the set-up (X11 protocol, chapter 8).
func parseSetup(b []byte) (*Screen, error) {
	const fixed = 40 // bytes before the vendor's name
	bad := &Error{NoServer, "what answers isn't an X server"}
	if len(b) < fixed {
		return nil, bad
	}
	vendor := int(binary.LittleEndian.Uint16(b[24:]))
	screens, formats := int(b[28]), int(b[29])
	at := fixed + (vendor+3)&^3 + 8*formats // of the first SCREEN
	if screens == 0 || len(b) < at+24 {
		return nil, bad
	}
	return &Screen{
		Vendor: strings.ToValidUTF8(string(b[fixed:fixed+vendor]), "?"),
		Width:  int(binary.LittleEndian.Uint16(b[at+20:])),
		Height: int(binary.LittleEndian.Uint16(b[at+22:])),
	}, nil
}
