package screen

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/BurntSushi/xgb"
	"github.com/BurntSushi/xgb/shm"
	"golang.org/x/sys/unix"
)

// segmentSize is what the X server writes pixels into: 1920x1080 and more at
// once, larger screens in bands. Only what is used takes memory.
const segmentSize = 16 << 20

// A segment is memory that is shared with the X server.
type segment struct {
	id  shm.Seg
	mem []byte
}

// attach shares memory with the server, if that can be done: with MIT-SHM 1.2 a
// memfd, else a segment of System V's that is removed at once. Neither can be left
// behind, whatever ends this process. Where memory can't be shared, as with a
// server in another container, pixels come over the connection.
func (s *Screen) attach() error {
	s.conn.ExtLock.RLock()
	opcode, ok := s.conn.Extensions["MIT-SHM"]
	s.conn.ExtLock.RUnlock()
	if !ok {
		return nil
	}
	version, err := shm.QueryVersion(s.conn.Conn).Reply()
	if err != nil {
		return fmt.Errorf("the version of MIT-SHM: %w", err)
	}
	err = errors.ErrUnsupported
	if version.MajorVersion > 1 || version.MajorVersion == 1 && version.MinorVersion >= 2 {
		s.shm, err = s.attachMemfd(opcode)
	}
	if err != nil {
		s.shm, err = s.attachSystemV()
	}
	if err != nil {
		s.lacks = append(s.lacks, fmt.Sprintf(
			"memory can't be shared with the X server (%v): the picture comes over the connection, five times a second at most", err))
	}
	return nil
}

// attachMemfd shares a file without a name.
func (s *Screen) attachMemfd(opcode byte) (*segment, error) {
	fd, err := unix.MemfdCreate("picture", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, segmentSize); err != nil {
		return nil, err
	}
	// The server needn't fear that the file gets shorter.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, segmentSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	id, err := shm.NewSegId(s.conn.Conn)
	if err == nil {
		err = s.conn.SendDescriptor(attachFd(opcode, id), fd)
	}
	if err != nil {
		_ = unix.Munmap(mem)
		return nil, err
	}
	return &segment{id: id, mem: mem}, nil
}

// attachFd is the request ShmAttachFd (MIT-SHM 1.2), for a segment that the server
// may write to.
func attachFd(opcode byte, id shm.Seg) []byte {
	const minor, words = 6, 3
	b := make([]byte, 4*words)
	b[0], b[1] = opcode, minor
	binary.LittleEndian.PutUint16(b[2:], words)
	binary.LittleEndian.PutUint32(b[4:], uint32(id))
	return b
}

// attachSystemV shares a segment that is removed at once: Linux lets the server attach it all the
// same, while this process has it, and whatever ends this process leaves nothing behind.
func (s *Screen) attachSystemV() (*segment, error) {
	key, err := unix.SysvShmGet(unix.IPC_PRIVATE, segmentSize, unix.IPC_CREAT|0o600)
	if err != nil {
		return nil, err
	}
	mem, err := unix.SysvShmAttach(key, 0, 0)
	_, _ = unix.SysvShmCtl(key, unix.IPC_RMID, nil)
	var id shm.Seg
	if err == nil {
		id, err = shm.NewSegId(s.conn.Conn)
	}
	if err == nil {
		err = shm.AttachChecked(s.conn.Conn, id, uint32(key), false).Check()
	}
	if err != nil {
		if mem != nil {
			_ = unix.SysvShmDetach(mem)
		}
		if e, ok := err.(xgb.Error); ok {
			err = fmt.Errorf("%s", e.Error())
		}
		return nil, err
	}
	return &segment{id: id, mem: mem}, nil
}
