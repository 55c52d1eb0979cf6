package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"time"
)

// endColumns are for clients that must not be waited for for ever.
var endColumns = []column{
	{"open", "still open after 40 s", "%.0f", false},
	{"ended", "s until closed", "%.1f", false},
	{"peak_mib", "peak PSS MiB", "%.1f", false},
	{"start_mib", "PSS MiB before", "%.1f", false},
}

// endWait is how long a proxy is given to close.
const endWait = 40 * time.Second

// giantFrame announces far more than anybody can take, and sends some of it, to
// a server that takes all there is.
func (e *env) giantFrame() (metrics, error) {
	return e.end(modeSink, func() (net.Conn, error) {
		c, err := e.open(endWait + 5*time.Second)
		if err != nil {
			return nil, err
		}
		head := binary.BigEndian.AppendUint64([]byte{0x82, 0x80 | 127}, 1<<40)
		head = append(head, maskKey[:]...)
		for i, b := range bytes.Repeat(updateRequest(0, 0, 64, 64), 100) {
			head = append(head, b^maskKey[i%4])
		}
		_, err = c.nc.Write(head)
		return c.nc, err
	})
}

// halfRequest never finishes its first line.
func (e *env) halfRequest() (metrics, error) {
	return e.end(modeRespond, func() (net.Conn, error) {
		c, err := dial(dialOptions{addr: e.x.addr, tls: e.tls, timeout: endWait + 5*time.Second})
		if err != nil {
			return nil, err
		}
		_, err = io.WriteString(c.nc, "GET /webso")
		return c.nc, err
	})
}

// end takes the time until the proxy closes a connection.
func (e *env) end(mode string, begin func() (net.Conn, error)) (metrics, error) {
	if err := e.start(mode, e.tiny); err != nil {
		return nil, err
	}
	before, _ := e.x.memory()
	stop := e.x.watch(100*time.Millisecond, e.s.memLimit)
	c, err := begin()
	if err != nil {
		stop()
		return nil, err
	}
	defer c.Close()
	start := time.Now()
	_ = c.SetReadDeadline(start.Add(endWait))
	_, err = io.Copy(io.Discard, c)
	m := metrics{"open": 0, "start_mib": before / 1024, "peak_mib": stop()}
	if os.IsTimeout(err) {
		m["open"] = 1
	} else {
		m["ended"] = time.Since(start).Seconds()
	}
	return m, nil
}

// startUp takes the time from exec to a listening socket, and the program's size.
func (e *env) startUp() (metrics, error) {
	e.bare = true
	if err := e.start(modeRespond, e.tiny); err != nil {
		return nil, err
	}
	if e.x.cmd == nil {
		return nil, errors.New("nothing is started")
	}
	m := metrics{"start_ms": e.x.startup.Seconds() * 1e3}
	cmd := e.peer.Cmd
	if e.tls {
		cmd = e.peer.TLSCmd
	}
	if path, err := exec.LookPath(e.x.program(cmd[0])); err == nil {
		if info, err := os.Stat(path); err == nil {
			m["size_mb"] = float64(info.Size()) / 1e6
		}
	}
	return m, nil
}
