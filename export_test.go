package shadow

// Patrolling reports whether the settings are being read again and again.
func (m *Manager) Patrolling() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.patrolling
}
