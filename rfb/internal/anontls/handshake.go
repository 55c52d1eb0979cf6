package anontls

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"io"
)

// The types of handshake messages that are spoken (§7.4).
const (
	clientHello       = 1
	serverHello       = 2
	serverKeyExchange = 12
	serverHelloDone   = 14
	clientKeyExchange = 16
	finished          = 20
)

const (
	messageLen = 4       // a handshake message's type and length
	maxMessage = 4 << 10 // bytes of one; a ServerKeyExchange of 8,192 bits has 3,078
)

// A shake is a handshake.
type shake struct {
	*Conn
	unread   []byte // of handshake messages
	messages []byte // all of them so far, as the hashes want them
	idle     int    // warnings, of which there may be a few
}

func (c *Conn) handshake(random io.Reader) error {
	s, hello := &shake{Conn: c}, new(hello)
	first, err := hello.say(random)
	if err != nil {
		return err
	}
	if err := s.say(clientHello, first); err != nil {
		return err
	}
	p, err := s.hear(serverHello)
	if err == nil {
		err = hello.answered(p)
	}
	if err != nil {
		return err
	}
	c.in.agreed = true
	if p, err = s.hear(serverKeyExchange); err != nil {
		return err
	}
	theirs, err := parseGroup(p)
	if err != nil {
		return err
	}
	if p, err = s.hear(serverHelloDone); err == nil && len(p) > 0 {
		err = wrong(alertDecodeError, "ServerHelloDone of %d bytes", len(p))
	}
	if err != nil {
		return err
	}
	ours, premaster, err := theirs.agree(random)
	if err != nil {
		return err
	}
	if err := s.say(clientKeyExchange, binary.BigEndian.AppendUint16(nil, uint16(len(ours))), ours); err != nil {
		return err
	}
	return s.finish(hello, premaster)
}

// finish changes to the ciphers, in which each side proves that it has seen the same handshake.
func (s *shake) finish(h *hello, premaster []byte) error {
	master := h.suite.master(premaster, h.client[:], h.server[:], s.messages, h.extended)
	ofClient, ofServer, err := h.suite.keys(master, h.client[:], h.server[:])
	if err != nil {
		return err
	}
	if err := s.send(typeChangeCipherSpec, []byte{1}); err != nil {
		return err
	}
	s.out = ofClient
	if err := s.say(finished, h.suite.finish(master, "client finished", s.messages)); err != nil {
		return err
	}
	want := h.suite.finish(master, "server finished", s.messages)
	if err := s.change(ofServer); err != nil {
		return err
	}
	got, err := s.hear(finished)
	switch {
	case err != nil:
		return err
	case !hmac.Equal(got, want):
		return wrong(alertDecryptError, "its Finished isn't that of this handshake")
	case len(s.unread) > 0:
		return wrong(alertUnexpectedMessage, "more after its Finished")
	}
	return nil
}

// say sends a handshake message.
func (s *shake) say(kind byte, parts ...[]byte) error {
	m := []byte{kind, 0, 0, 0}
	for _, p := range parts {
		m = append(m, p...)
	}
	n := len(m) - messageLen
	m[1], m[2], m[3] = byte(n>>16), byte(n>>8), byte(n)
	s.messages = append(s.messages, m...)
	return s.send(typeHandshake, m)
}

// hear returns the server's next handshake message, which must be of a kind.
func (s *shake) hear(kind byte) ([]byte, error) {
	for {
		if len(s.unread) >= messageLen {
			n := int(s.unread[1])<<16 | int(s.unread[2])<<8 | int(s.unread[3])
			switch {
			case s.unread[0] != kind:
				return nil, wrong(alertUnexpectedMessage, "handshake message of type %d instead of %d", s.unread[0], kind)
			case n > maxMessage:
				return nil, wrong(alertDecodeError, "handshake message of %d bytes", n)
			case len(s.unread) >= messageLen+n:
				m := s.unread[:messageLen+n]
				s.unread = s.unread[messageLen+n:]
				s.messages = append(s.messages, m...)
				return m[messageLen:], nil
			}
		}
		p, err := s.record(typeHandshake)
		if err != nil {
			return nil, err
		}
		if len(p) == 0 {
			return nil, wrong(alertDecodeError, "empty record of a handshake")
		}
		s.unread = append(s.unread, p...)
	}
}

// record returns the next record of a type. A few warnings may come before.
func (s *shake) record(want contentType) ([]byte, error) {
	for {
		t, p, err := s.in.next()
		switch {
		case err != nil:
			return nil, err
		case t == want:
			return p, nil
		case t != typeAlert:
			return nil, wrong(alertUnexpectedMessage, "record of type %d instead of %d", t, want)
		}
		if err := told(p); err == errClosed {
			return nil, fmt.Errorf("%w: it has ended it", ErrRefused)
		} else if err != nil {
			return nil, err
		}
		if s.idle++; s.idle > maxIdle {
			return nil, wrong(alertUnexpectedMessage, "%d warnings", s.idle)
		}
	}
}

// change waits until the server changes to its cipher.
func (s *shake) change(to half) error {
	if len(s.unread) > 0 {
		return wrong(alertUnexpectedMessage, "a handshake message before it changes the cipher")
	}
	p, err := s.record(typeChangeCipherSpec)
	if err != nil {
		return err
	}
	if len(p) != 1 || p[0] != 1 {
		return wrong(alertDecodeError, "ChangeCipherSpec of %d bytes", len(p))
	}
	s.in.half = to
	return nil
}
