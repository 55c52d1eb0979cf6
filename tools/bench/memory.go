package main

import "time"

var memoryColumns = []column{
	{"pss", "PSS MiB", "%.1f", false},
	{"rss", "RSS MiB", "%.1f", false},
	{"base", "PSS MiB before", "%.1f", false},
	{"per", "KiB/connection", "%.1f", false},
}

var peakColumns = []column{
	{"peak_mib", "peak PSS MiB", "%.1f", false},
	{"start_mib", "PSS MiB before", "%.1f", false},
	{"cpu", "proxy CPU s", "%.2f", false},
}

// idleMemory takes the memory of connections that have nothing to do.
func (e *env) idleMemory() (metrics, error) {
	if err := e.start(modeRespond, e.tiny); err != nil {
		return nil, err
	}
	time.Sleep(300 * time.Millisecond)
	base, _ := e.x.memory()
	for range e.s.idle {
		c, err := e.open(30 * time.Second)
		if err != nil {
			return nil, err
		}
		defer c.tcp.Close()
	}
	time.Sleep(700 * time.Millisecond)
	pss, rss := e.x.memory()
	return metrics{"pss": pss / 1024, "rss": rss / 1024, "base": base / 1024, "per": (pss - base) / float64(e.s.idle)}, nil
}

// slowReader reads little of what the server pushes.
func (e *env) slowReader() (metrics, error) {
	return e.peak(modePush, func(c *client) error {
		if _, err := c.Write(updateRequest(0, 0, 1, 1)); err != nil {
			return err
		}
		buf := make([]byte, 6400)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(e.s.slowFor); time.Now().Before(end); {
			<-tick.C
			for got := 0; got < len(buf); {
				n, err := c.Read(buf[got:])
				if got += n; err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// stuckTarget sends to a server that reads nothing once it has been greeted.
func (e *env) stuckTarget() (metrics, error) {
	return e.peak(modeStuck, func(c *client) error {
		start := time.Now()
		_ = c.nc.SetDeadline(start.Add(e.s.slowFor))
		b := e.upBig.ws
		if e.peer.Kind != "ws" {
			b = e.upBig.tcp
		}
		if err := c.sendLoop(b); time.Since(start) < e.s.slowFor {
			return err
		}
		return nil
	})
}

// peak takes the largest memory of the proxy while the client does something.
func (e *env) peak(mode string, do func(*client) error) (metrics, error) {
	if err := e.start(mode, e.big); err != nil {
		return nil, err
	}
	c, err := e.open(e.s.slowFor + 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.tcp.Close()
	before, _ := e.x.memory()
	m, stop := newMeter(e.x), e.x.watch(100*time.Millisecond, e.s.memLimit)
	err = do(c)
	_, cpu, _, _ := m.stop()
	peak := stop()
	if err != nil && peak <= e.s.memLimit { // past it the proxy was killed, and the peak says so
		return nil, err
	}
	return metrics{"peak_mib": peak, "start_mib": before / 1024, "cpu": cpu}, nil
}
