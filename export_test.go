package shadow

import (
	"time"

	"vda.internal/shadow/internal/strangers"
)

// Patrolling reports whether the settings are being read again and again.
func (m *Manager) Patrolling() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.patrolling
}

// ReadSettingsEvery changes how often that is. Call it before the first request.
func (m *Manager) ReadSettingsEvery(d time.Duration) { m.interval = d }

// LookEvery changes how often a session and its picture are looked at. Call it before the first request.
func (m *Manager) LookEvery(d time.Duration) { m.retry, m.revisiting, m.fitting = d, d, d }

// ReadSettingsWithin changes how long the settings may take. Call it before the first request.
func (m *Manager) ReadSettingsWithin(d time.Duration) { m.reading = d }

// GiveLastWords changes how long banners may speak at Shutdown. Call it before the first
// request.
func (m *Manager) GiveLastWords(d time.Duration) { m.words = d }

// TidyFor changes how long an end waits for what ends properly. Call it before the first
// request.
func (m *Manager) TidyFor(d time.Duration) { m.tidy = d }

// Forgive ends every pause after a No, and forgets who has asked for nothing.
func (m *Manager) Forgive() {
	m.asks = strangers.Quota{Size: maxAsks, Every: asksEvery}
	m.pauses.mu.Lock()
	defer m.pauses.mu.Unlock()
	m.pauses.pauses = nil
}

// AnswerWithin changes how long a source may leave a request unanswered. Call it before the
// first request.
func (m *Manager) AnswerWithin(d time.Duration) { m.answer = d }

// MonitorsWithin changes how long all displays have to name their monitors. Call it before the first
// request.
func (m *Manager) MonitorsWithin(d time.Duration) { m.monitorTime = d }
