package websockify

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"vda.internal/shadow/cmd/websockify/internal/token"
)

// nameServer answers for names: "both" has an address of each family, "four"
// and "six" of one.
func nameServer(t *testing.T) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			if answer, err := answerQuery(b[:n]); err == nil {
				_, _ = pc.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		pc.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func answerQuery(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	m.Response, m.Additionals = true, nil
	q := m.Questions[0]
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	switch name := q.Name.String(); {
	case q.Type == dnsmessage.TypeA && name != "six.test.":
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
	case q.Type == dnsmessage.TypeAAAA && name != "four.test.":
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: [16]byte{15: 1}}}}
	}
	return m.Pack()
}

func TestEveryAddressHasItsTurn(t *testing.T) {
	four := listenLoopback(t)
	defer four.Close()
	six, err := net.Listen("tcp6", "[::1]:0")
	require.NoError(t, err, "IPv6 on loopback is needed")
	defer six.Close()
	d := &net.Dialer{Resolver: nameServer(t)}
	dial := func(host, port string) (net.Addr, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, err := dialTarget(ctx, d, token.Target{Host: host, Port: port})
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return c.RemoteAddr(), nil
	}
	port4, port6 := portOf(four.Addr().String()), portOf(six.Addr().String())
	for _, c := range []struct{ host, port, want string }{
		{"both.test", port4, four.Addr().String()},
		{"both.test", port6, six.Addr().String()},
		{"four.test", port4, four.Addr().String()},
		{"six.test", port6, six.Addr().String()},
		{"::1", port6, six.Addr().String()},
		{"", port4, four.Addr().String()},
	} {
		got, err := dial(c.host, c.port)
		if assert.NoError(t, err, c.host) {
			assert.Equal(t, c.want, got.String(), c.host)
		}
	}
	_, err = dial("four.test", port6)
	assert.ErrorContains(t, err, "127.0.0.1:"+port6+": connect: connection refused")
	assert.NotContains(t, err.Error(), "no suitable address")
	_, err = dial("both.test", "no-such-service")
	assert.ErrorContains(t, err, "no-such-service")
}
