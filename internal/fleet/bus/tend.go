package bus

import (
	"errors"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	tendEvery = 5 * time.Second
	leastRoom = 16 << 20    // bytes of the disk with which the server begins to keep things again
	againTime = time.Minute // between two times that it does so
)

// tend has the server keep things again once there is room. A NATS server takes no line for a stream any more that it couldn't write,
// or ends all streams, until it is started again.
func (s *Server) tend(opts *server.Options) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	var last time.Time // that it was begun again
	ended, said := 0, false
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		ends := !s.ns.JetStreamEnabled()
		if !ends && !s.log.full.Load() {
			ended = 0
			continue
		}
		if ended++; ends && (s.ns.JetStreamConfig() != nil || ended < 2) { // what it does in the background may not be over
			continue
		}
		if free := room(opts.StoreDir); free < leastRoom {
			if !said {
				s.log.Errorf("there is no room on the disk of %s, %d MiB: the bus keeps no audits, and perhaps no list of hosts, until there are %d", opts.StoreDir, free>>20, leastRoom>>20)
			}
			said = true
			continue
		}
		if time.Since(last) < againTime {
			continue
		}
		last, said = time.Now(), false
		s.keepAgain(opts)
	}
}

// keepAgain ends the server's streams and begins them again.
func (s *Server) keepAgain(opts *server.Options) {
	s.log.full.Store(false)
	err := s.ns.ShutdownJetStream()
	if err == nil {
		same := opts.Clone()
		same.TrustedKeys = nil         // which NATS has made of TrustedOperators
		err = s.ns.ReloadOptions(same) // and has what should run run
	}
	if err == nil && !s.ns.JetStreamEnabled() {
		err = errors.New("JetStream doesn't start")
	}
	if err != nil {
		s.log.full.Store(true)
		s.log.Errorf("the bus can't keep anything yet; it is tried again: %v", err)
		return
	}
	s.log.Warnf("there is room on the disk of %s again, and the bus stores messages", opts.StoreDir)
	s.mu.Lock()
	conns := s.conns
	s.mu.Unlock()
	for _, nc := range conns { // what was in memory has to be made again, and watched anew
		_ = nc.ForceReconnect()
	}
}

// joined notes a connection of this gate's own.
func (s *Server) joined(nc *nats.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := []*nats.Conn{nc}
	for _, c := range s.conns {
		if !c.IsClosed() {
			open = append(open, c)
		}
	}
	s.conns = open
}

// isFull reports whether an error says that a disk has no room.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// room is how many bytes are free where a folder is; 0: it isn't known.
func room(dir string) uint64 {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0
	}
	return st.Bavail * uint64(st.Bsize)
}
