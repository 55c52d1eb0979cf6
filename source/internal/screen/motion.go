package screen

import (
	"encoding/binary"

	"github.com/BurntSushi/xgb/xproto"
)

// xgb has no XInput. Of its requests these three are sent: two that ask for its
// version, and one that asks to be told that the pointer moves (XI2proto.txt).
const (
	xiSelectEvents = 46
	xiQueryVersion = 47

	xiAllMasterDevices = 1
	xiRawMotion        = 17
)

// motion hears of the pointer's motion. The zero value doesn't.
type motion struct {
	opcode byte // of XInputExtension; 0: there is none, or none of version 2
	on     bool
}

// init finds out whether the server can tell of motion.
func (m *motion) init(s *Screen) {
	const name = "XInputExtension"
	const without = "where the pointer is is asked five times a second while it rests"
	reply, err := xproto.QueryExtension(s.conn.Conn, uint16(len(name)), name).Reply()
	if err != nil || !reply.Present {
		s.lack("XInput", without)
		return
	}
	opcode := reply.MajorOpcode
	b := make([]byte, 8)
	b[0], b[1] = opcode, xiQueryVersion
	binary.LittleEndian.PutUint16(b[2:], 2)
	binary.LittleEndian.PutUint16(b[4:], 2)
	binary.LittleEndian.PutUint16(b[6:], 1) // before 2.1 a client isn't told what moves during another's grab: an open menu, a drag
	cookie := s.conn.NewCookie(true, true)
	s.conn.NewRequest(b, cookie)
	answer, err := cookie.Reply()
	if err != nil || len(answer) < 12 || binary.LittleEndian.Uint16(answer[8:]) < 2 ||
		binary.LittleEndian.Uint16(answer[8:]) == 2 && binary.LittleEndian.Uint16(answer[10:]) < 1 {
		s.lack("XInput 2.1", without)
		return
	}
	m.opcode = opcode
	s.conn.OnGenericEvent(func(extension byte, event uint16) {
		if extension == opcode && event == xiRawMotion && !s.moved.Swap(true) {
			s.tell()
		}
	})
}

// TellsMotion reports whether the server can tell that the pointer moves.
func (s *Screen) TellsMotion() bool { return s.motion.opcode != 0 }

// TellMotion has [Screen.PointerMoved] told, or no longer. A pointer that moves
// makes many events, so while it does it is cheaper to ask where it is.
func (s *Screen) TellMotion(on bool) {
	if !s.TellsMotion() || s.motion.on == on {
		return
	}
	s.motion.on = on
	b := make([]byte, 20)
	b[0], b[1] = s.motion.opcode, xiSelectEvents
	binary.LittleEndian.PutUint16(b[2:], 5)
	binary.LittleEndian.PutUint32(b[4:], uint32(s.root))
	binary.LittleEndian.PutUint16(b[8:], 1) // masks
	binary.LittleEndian.PutUint16(b[12:], xiAllMasterDevices)
	binary.LittleEndian.PutUint16(b[14:], 1) // words of the mask
	if on {
		binary.LittleEndian.PutUint32(b[16:], 1<<xiRawMotion)
	}
	s.conn.NewRequest(b, s.conn.NewCookie(false, false))
}

// PointerMoved reports whether the pointer may have moved since
// [Screen.PointerPosition]; only while that is told of.
func (s *Screen) PointerMoved() bool { return s.moved.Load() }
