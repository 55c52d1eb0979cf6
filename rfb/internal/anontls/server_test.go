package anontls

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
)

// A server is one that a test tells what to do wrong. The zero server is a good one.
type server struct {
	version, suite int  // 0: as it should be
	compression    byte // of the ServerHello
	old            bool // it has no extensions
	extensions     []byte
	session        []byte

	group            namedGroup // its prime; none: ffdhe2048
	prime, generator *big.Int   // instead
	public           *big.Int   // nil: a good one
	tail             []byte     // behind its ServerKeyExchange's values
	skip, twice      byte       // a message that it leaves out, or says twice
	before           map[byte][]byte
	piece            int // bytes of handshake messages in a record; 0: all
	finished         []byte
	spoil            bool // of its first record that is encrypted
	random           io.Reader

	conn     net.Conn
	in       reader
	out      half
	messages []byte
	unread   []byte
	heard    []alert
}

var errOver = errors.New("the client has ended it")

func (s *server) record(want contentType) ([]byte, error) {
	t, p, err := s.in.next()
	switch {
	case err != nil:
		return nil, err
	case t == typeAlert && len(p) == 2:
		s.heard = append(s.heard, alert(p[1]))
		return nil, errOver
	case t != want:
		return nil, fmt.Errorf("record of type %d", t)
	}
	return p, nil
}

func (s *server) hear() ([]byte, error) {
	for len(s.unread) < messageLen || len(s.unread) < messageLen+int(s.unread[2])<<8+int(s.unread[3]) {
		p, err := s.record(typeHandshake)
		if err != nil {
			return nil, err
		}
		s.unread = append(s.unread, p...)
	}
	n := messageLen + int(s.unread[2])<<8 + int(s.unread[3])
	m := s.unread[:n]
	s.messages = append(s.messages, m...)
	s.unread = s.unread[n:]
	return m[messageLen:], nil
}

func (s *server) send(t contentType, p []byte) error {
	b, err := s.out.seal(nil, version12, t, p)
	if err == nil {
		if s.spoil && s.out.aead != nil {
			b[len(b)-1] ^= 1
		}
		_, err = s.conn.Write(b)
	}
	return err
}

func (s *server) say(kind byte, p []byte) error {
	m := append([]byte{kind, 0, byte(len(p) >> 8), byte(len(p))}, p...)
	s.messages = append(s.messages, m...)
	if kind == s.skip {
		return nil
	}
	if b, ok := s.before[kind]; ok {
		if _, err := s.conn.Write(b); err != nil {
			return err
		}
	}
	if kind == s.twice {
		m = append(m, m...)
	}
	piece := s.piece
	if piece == 0 {
		piece = len(m)
	}
	for len(m) > 0 {
		n := min(piece, len(m))
		if err := s.send(typeHandshake, m[:n]); err != nil {
			return err
		}
		m = m[n:]
	}
	return nil
}

func vector16(b, p []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(p))), p...)
}

// accept performs the handshake.
func (s *server) accept(conn net.Conn) error {
	s.conn, s.in.from = conn, conn
	if s.random == nil {
		s.random = rand.Reader
	}
	first, err := s.hear()
	if err != nil {
		return err
	}
	h := &hello{suite: suites[0], extended: !s.old}
	copy(h.client[:], first[2:])
	for _, c := range suites {
		if int(c.id) == s.suite {
			h.suite = c
		}
	}
	if _, err := io.ReadFull(s.random, h.server[:]); err != nil {
		return err
	}
	if err := s.say(serverHello, s.answer(h)); err != nil {
		return err
	}
	premaster, err := s.exchange()
	if err != nil {
		return err
	}
	return s.finish(h, premaster)
}

// answer is its ServerHello.
func (s *server) answer(h *hello) []byte {
	version, id := version12, int(h.suite.id)
	if s.version != 0 {
		version = s.version
	}
	if s.suite != 0 {
		id = s.suite
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(version))
	b = append(b, h.server[:]...)
	b = append(append(b, byte(len(s.session))), s.session...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(id)), s.compression)
	if s.old {
		return b
	}
	return vector16(b, append([]byte{0, extExtendedMaster, 0, 0, 0xff, 1, 0, 1, 0}, s.extensions...))
}

// exchange returns the premaster secret.
func (s *server) exchange() ([]byte, error) {
	p, g, y := s.prime, s.generator, s.public
	if p == nil && s.group.prime == nil {
		s.group = named[0]
	}
	if p == nil {
		p = s.group.prime()
	}
	if g == nil {
		g = two
	}
	x := make([]byte, 32)
	if _, err := io.ReadFull(s.random, x); err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(x)
	if y == nil {
		y = new(big.Int).Exp(g, exponent, p)
	}
	values := vector16(vector16(vector16(nil, p.Bytes()), g.Bytes()), y.Bytes())
	if err := s.say(serverKeyExchange, append(values, s.tail...)); err != nil {
		return nil, err
	}
	if err := s.say(serverHelloDone, nil); err != nil {
		return nil, err
	}
	theirs, err := s.hear()
	if err != nil {
		return nil, err
	}
	return new(big.Int).Exp(new(big.Int).SetBytes(theirs[2:]), exponent, p).Bytes(), nil
}

// finish changes to the ciphers.
func (s *server) finish(h *hello, premaster []byte) error {
	master := h.suite.master(premaster, h.client[:], h.server[:], s.messages, h.extended)
	ofClient, ofServer, err := h.suite.keys(master, h.client[:], h.server[:])
	if err != nil {
		return err
	}
	if _, err := s.record(typeChangeCipherSpec); err != nil {
		return err
	}
	s.in.half = ofClient
	want := h.suite.finish(master, "client finished", s.messages)
	got, err := s.hear()
	if err != nil {
		return err
	}
	if string(want) != string(got) {
		return errors.New("the client's Finished is wrong")
	}
	if err := s.send(typeChangeCipherSpec, []byte{1}); err != nil {
		return err
	}
	s.out = ofServer
	done := h.suite.finish(master, "server finished", s.messages)
	if s.finished != nil {
		done = s.finished
	}
	return s.say(finished, done)
}

// data are the bytes of the client's next record.
func (s *server) data() ([]byte, error) { return s.record(typeData) }
