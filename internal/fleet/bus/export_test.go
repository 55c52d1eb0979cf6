package bus

// GuestsOf is for how many hosts there is room with so many descriptors.
var GuestsOf = guestsOf

// LimitGuests gives a bus room for so many connections of hosts.
func (s *Server) LimitGuests(most int) {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	s.door.most = most
}
