package wsproxy_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/wsproxy"
)

func TestMaxSessions(t *testing.T) {
	for name, tc := range map[string]struct {
		all, here int
		reason    string
	}{
		"all":         {2, 0, "too many sessions"},
		"one address": {5, 2, "too many sessions from this address"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, &wsproxy.Handler{Dial: pipeDial, Relay: echo{}, MaxSessions: tc.all, MaxSessionsPerAddress: tc.here})
			admitted := []*raw{r.dialRaw(), r.dialRaw()}
			for _, c := range admitted {
				c.frame(fin|opBinary, []byte("in"))
				c.next()
			}
			told := []*raw{r.dialRaw(), r.dialRaw()}
			for _, c := range told { // and don't answer yet
				code, reason := c.untilClose()
				assert.Equal(t, wsproxy.StatusTryAgainLater, code)
				assert.Equal(t, tc.reason, reason)
				assert.ErrorContains(t, receive(t, r.rejects), tc.reason)
			}
			assert.Equal(t, http.StatusServiceUnavailable, r.connect().resp.StatusCode, "as many again are being told")
			for _, c := range append(told, admitted[0]) {
				c.frame(fin|opClose, nil)
				_, _ = io.Copy(io.Discard, c.conn)
			}
			r.record()
			require.Eventually(t, func() bool {
				c := r.connect()
				if c.resp.StatusCode != http.StatusSwitchingProtocols {
					return false
				}
				_, _ = c.Write([]byte("again"))
				if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
					c.conn.Close() // or it counts for a while
					return false
				}
				return true
			}, patience, 5*time.Millisecond, "there is room again")
		})
	}
}

func TestViewerBehindAProxy(t *testing.T) {
	private := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	for name, tc := range map[string]struct {
		trusted []netip.Prefix
		headers []string
		remote  string // empty: the connection's
	}{
		"nobody is trusted":    {nil, []string{"X-Forwarded-For: 192.0.2.1"}, ""},
		"somebody else is":     {private[1:], []string{"X-Forwarded-For: 192.0.2.1"}, ""},
		"one proxy":            {private, []string{"X-Forwarded-For: 192.0.2.1"}, "192.0.2.1:0"},
		"two proxies":          {private, []string{"X-Forwarded-For: 192.0.2.1, 10.1.2.3"}, "192.0.2.1:0"},
		"in two lines":         {private, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 10.1.2.3"}, "192.0.2.1:0"},
		"a viewer that lies":   {private, []string{"X-Forwarded-For: 198.51.100.7, 192.0.2.1,10.1.2.3"}, "192.0.2.1:0"},
		"only proxies":         {private, []string{"X-Forwarded-For: 10.9.9.9, 10.1.2.3"}, "10.9.9.9:0"},
		"IPv6":                 {private, []string{"X-Forwarded-For: 2001:db8::1"}, "[2001:db8::1]:0"},
		"IPv6 with port":       {private, []string{"X-Forwarded-For: [2001:db8::1]:4711"}, "[2001:db8::1]:0"},
		"IPv6 in brackets":     {private, []string{"X-Forwarded-For: [2001:db8::1]"}, "[2001:db8::1]:0"},
		"IPv4 with port":       {private, []string{"X-Forwarded-For: 192.0.2.1:80"}, "192.0.2.1:0"},
		"mapped":               {private, []string{"X-Forwarded-For: ::ffff:192.0.2.1"}, "192.0.2.1:0"},
		"no address":           {private, []string{"X-Forwarded-For: unknown"}, ""},
		"no address before it": {private, []string{"X-Forwarded-For: unknown, 10.1.2.3"}, "10.1.2.3:0"},
		"no header":            {private, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan string, 2)
			r := newRig(t, &wsproxy.Handler{
				Relay:     echo{},
				Authorize: func(r *http.Request) error { seen <- r.RemoteAddr; return nil },
				Dial: func(ctx context.Context, r *http.Request) (net.Conn, error) {
					seen <- r.RemoteAddr
					return pipeDial(ctx, r)
				},
			}, behind(tc.trusted...))
			c := r.dialRaw(tc.headers...)
			c.closeWith(1000, "")
			c.wantEcho(1000, "")
			record := r.record()
			remote := cmp.Or(tc.remote, c.LocalAddr().String())
			assert.Equal(t, remote, receive(t, seen))
			assert.Equal(t, remote, receive(t, seen))
			assert.Equal(t, remote, record.Remote)
			assert.Equal(t, remote, record.Request.RemoteAddr)
		})
	}
}

// behind puts a server behind proxies at these addresses.
func behind(proxies ...netip.Prefix) func(*httptest.Server) {
	return func(s *httptest.Server) {
		s.Config.Handler = wsproxy.Proxies{Networks: proxies}.Handler(s.Config.Handler)
	}
}

// Viewers behind one proxy are told apart by the limit for an address.
func TestLimitCountsViewersNotProxies(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{
		Dial: pipeDial, Relay: echo{}, MaxSessionsPerAddress: 1,
	}, behind(netip.MustParsePrefix("127.0.0.1/32")))
	for _, from := range []string{"192.0.2.1", "192.0.2.2", "2001:db8:1::1", "2001:db8:2::1"} {
		c := r.dialRaw("X-Forwarded-For: " + from)
		c.frame(fin|opBinary, []byte("in"))
		c.next()
	}
	r.dialRaw("X-Forwarded-For: 192.0.2.2").wantClose(wsproxy.StatusTryAgainLater, "too many sessions from this address")
	r.dialRaw("X-Forwarded-For: 2001:db8:2::2").wantClose(wsproxy.StatusTryAgainLater, "too many sessions from this address")
}

func TestProxyHeaderToTheTarget(t *testing.T) {
	for version, want := range map[int]string{
		1: "PROXY TCP4 192.0.2.1 127.0.0.1 0 %d\r\nhello",
		2: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x7f\x00\x00\x01\x00\x00",
	} {
		dial, targets := dialTo(t)
		r := newRig(t, &wsproxy.Handler{Dial: dial, ProxyProtocol: version}, behind(netip.MustParsePrefix("127.0.0.0/8")))
		c := r.dialRaw("X-Forwarded-For: 192.0.2.1")
		port := c.RemoteAddr().(*net.TCPAddr).Port
		if version == 1 {
			want = fmt.Sprintf(want, port)
		} else {
			want += string([]byte{byte(port >> 8), byte(port)}) + "hello"
		}
		c.frame(fin|opBinary, []byte("hello"))
		target := receive(t, targets)
		got := make([]byte, len(want))
		_, err := io.ReadFull(target, got)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
		target.Close()
		c.wantClose(1000, "Target closed")
		record := r.record()
		assert.EqualValues(t, 5, record.Received)
		assert.Equal(t, target.LocalAddr().String(), record.Target)
	}
}

func TestProxyHeaderThatNobodyTakes(t *testing.T) {
	near, far := tcpPair(t)
	far.Close()
	near.Close()
	r := newRig(t, &wsproxy.Handler{ProxyProtocol: 2, Dial: func(context.Context, *http.Request) (net.Conn, error) { return near, nil }})
	r.dialRaw().wantClose(wsproxy.StatusInternalError, "Failed to connect to downstream server")
	assert.ErrorContains(t, r.record().Err, "PROXY header")
}

func TestNoMessageLimit(t *testing.T) {
	r := newRig(t, &wsproxy.Handler{Dial: pipeDial, MaxMessage: -1, Relay: relayFunc(func(_ context.Context, viewer, _ net.Conn) error {
		_, err := io.Copy(io.Discard, viewer)
		return err
	})})
	c := r.dialRaw()
	c.frame(fin|opBinary, make([]byte, 4<<20))
	c.closeWith(1000, "")
	c.wantEcho(1000, "")
	assert.EqualValues(t, 4<<20, r.record().Received)
}

func TestRecordKnowsItsRequest(t *testing.T) {
	h := &wsproxy.Handler{Dial: pipeDial, Relay: echo{}}
	r := newRig(t, h, func(s *httptest.Server) {
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "mine")))
		})
	})
	c := r.dialRaw()
	c.closeWith(1000, "")
	c.wantEcho(1000, "")
	record := r.record()
	assert.Equal(t, "secret", record.Request.URL.Query().Get("token"))
	assert.Equal(t, "mine", record.Request.Context().Value(key{}))
}
