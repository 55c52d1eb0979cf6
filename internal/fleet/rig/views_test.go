package rig_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/testgate"
)

// paint gives a host's desktop another colour, and returns it.
func (r *rig) paint(t *testing.T, host string) (colour string) {
	t.Helper()
	r.colour++
	colour = fmt.Sprintf("#%02x%02x%02x", 40+r.colour*53%200, 40+r.colour*97%200, 40+r.colour*151%200)
	require.NoError(t, r.desks[host].SetRoot(t.Context(), colour))
	return colour
}

// asked asks at a gate until the host can be asked, and returns the view's id.
func (r *rig) asked(t *testing.T, name, host, purpose string) (id string) {
	t.Helper()
	return asked(t, r.at(name), gate.Wish{Host: host, Session: "s1", Purpose: purpose})
}

// refused asks at a gate until it is refused, and returns the reason and the words. Where the host is still asked, the view
// is stopped.
func (r *rig) refused(t *testing.T, name, host string) (why api.Problem, took time.Duration) {
	t.Helper()
	took = r.until(t, name+" refuses to ask "+host, func(context.Context) bool {
		c := r.at(name)
		began := time.Now()
		resp, err := c.Send(t.Context(), http.MethodPost, "/api/v1/shadows", gate.Wish{Host: host, Session: "s1", Purpose: "it can't be"})
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusCreated {
			var v gate.View
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&v))
			stopped(t, c, v.ID)
			return false
		}
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&why))
		t.Logf("%s refuses to ask %s after %v: %s: %s", name, host, time.Since(began).Round(100*time.Millisecond), why.Reason, why.Detail)
		return true
	})
	require.NotEmpty(t, why.Reason)
	require.NotEmpty(t, why.Detail)
	return why, took
}

// viewed asks for a host's session at a gate, looks at it, and stops it.
func (r *rig) viewed(t *testing.T, name, host, purpose string) {
	t.Helper()
	began := time.Now()
	id := r.asked(t, name, host, purpose)
	asked := time.Since(began)
	shown := comesBack(t, r.at(name), id)
	stopped(t, r.at(name), id)
	t.Logf("%s asked for %s within %v, showed it within %v, and had stopped it after %v", name, host, asked.Round(100*time.Millisecond), shown, time.Since(began).Round(100*time.Millisecond))
}

// comesBack waits until a view shows a picture (again) through a gate, and says how long that takes.
func comesBack(t *testing.T, c *testgate.Client, id string) time.Duration {
	t.Helper()
	began := time.Now()
	var last error
	for time.Since(began) < patience {
		v, err := c.Connect(id)
		if err == nil {
			_ = v.Conn.SetDeadline(time.Now().Add(time.Minute))
			err = picture(v.Conn)
			v.Cut()
		}
		if last = err; err == nil {
			return time.Since(began).Round(100 * time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond) // as a page does
	}
	require.Fail(t, "the view doesn't come back", "%v", last)
	return 0
}

// watch opens a view and keeps it, until it is cut.
func watch(t *testing.T, c *testgate.Client, id string) *testgate.Viewer {
	t.Helper()
	var v *testgate.Viewer
	require.Eventually(t, func() bool {
		var err error
		if v, err = c.Connect(id); err != nil {
			return false
		}
		_ = v.Conn.SetDeadline(time.Now().Add(time.Minute))
		err = picture(v.Conn)
		_ = v.Conn.SetDeadline(time.Time{})
		if err != nil {
			v.Cut()
		}
		return err == nil
	}, patience, 500*time.Millisecond, "no picture")
	t.Cleanup(v.Cut)
	return v
}

// picture performs RFB's handshake (RFC 6143, 7.1), and waits for a piece of the picture.
func picture(c net.Conn) error {
	buf := make([]byte, 64)
	read := func(n int) error { _, err := io.ReadFull(c, buf[:n]); return err }
	for _, step := range []struct {
		read int
		say  string
	}{{12, "RFB 003.008\n"}, {2, "\x01"}, {4, "\x01"}, {24, ""}} {
		if err := read(step.read); err != nil {
			return err
		}
		if _, err := io.WriteString(c, step.say); err != nil {
			return err
		}
	}
	pixel := int64(buf[4]) / 8
	if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(buf[20:]))); err != nil {
		return err
	}
	if _, err := c.Write([]byte{3, 0, 0, 0, 0, 0, 0, 64, 0, 64}); err != nil {
		return err
	}
	if err := read(4); err != nil {
		return err
	}
	for range binary.BigEndian.Uint16(buf[2:]) {
		if err := read(12); err != nil {
			return err
		}
		size := int64(binary.BigEndian.Uint16(buf[4:])) * int64(binary.BigEndian.Uint16(buf[6:])) * pixel
		if _, err := io.CopyN(io.Discard, c, size); err != nil { // Raw: nothing else was asked for
			return err
		}
	}
	return nil
}

// stopped stops a view. Its host may be slower than the gate waits for.
func stopped(t *testing.T, c *testgate.Client, id string) {
	t.Helper()
	resp, err := c.Send(t.Context(), http.MethodDelete, "/api/v1/shadows/"+id, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Contains(t, []int{http.StatusNoContent, http.StatusBadGateway, http.StatusNotFound}, resp.StatusCode)
	require.Eventually(t, func() bool {
		resp, err := c.Send(t.Context(), http.MethodGet, "/api/v1/shadows/"+id, nil)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusNotFound
	}, patience, 100*time.Millisecond)
}
