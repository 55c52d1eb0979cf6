package capture

import "time"

const (
	burst = 3 // looks that may be saved up

	// Where most of what the server says has changed hasn't, as it is with some
	// compositors, it is looked at less often.
	vainWindow = time.Second
	vainGap    = time.Second / 10
)

// A pace bounds how often the screen is looked at.
type pace struct {
	interval time.Duration // between two looks, in the long run
	gap      time.Duration // between two looks, at the least

	last  time.Duration // when it was last looked at
	ahead time.Duration // until when the looks so far would last, one each interval

	from   time.Duration // of the time in which is counted:
	looked int           // tiles
	vain   int           // tiles that hadn't changed
	slow   bool          // nearly all of them
}

// next is when the screen may be looked at again.
func (p *pace) next() time.Duration {
	gap := p.gap
	if p.slow {
		gap = max(gap, vainGap)
	}
	return max(p.last+gap, p.ahead-(burst-1)*p.interval)
}

// took notes a look at some tiles, of which so many had changed.
func (p *pace) took(now time.Duration, looked, changed int) {
	p.last = now
	p.ahead = max(p.ahead, now) + p.interval
	p.looked += looked
	p.vain += looked - changed
	if looked > 0 && changed*5 >= looked {
		p.slow = false
	}
	if now-p.from >= vainWindow {
		// A few tiles cost nothing.
		p.slow = p.vain*5 > p.looked*4 && p.looked > 1000
		p.from, p.looked, p.vain = now, 0, 0
	}
}
