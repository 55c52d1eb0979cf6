package portpool_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/portpool"
)

// accepting calls l.Accept and hands over what it returned.
func accepting(l net.Listener) <-chan error {
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = errors.New("accepted " + c.RemoteAddr().String())
			_ = c.Close()
		}
		done <- err
	}()
	return done
}

func requireClosed(t *testing.T, accept <-chan error) {
	t.Helper()
	select {
	case err := <-accept:
		require.ErrorIs(t, err, net.ErrClosed)
	case <-time.After(testenv.Patience):
		require.FailNow(t, "Accept still waits")
	}
}

// requireReset checks that the other end gave c up.
func requireReset(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

// requireNobodyBinds checks that no other program can have l's port, whatever
// address and options it tries.
func requireNobodyBinds(t *testing.T, l *portpool.Listener) {
	t.Helper()
	port, ours := l.Port(), l.Addr().(*net.TCPAddr).IP
	for _, h := range holders {
		if (h == loopback6 || h == any6) && ours.To4() != nil {
			continue // does not overlap with an IPv4 listener
		}
		for _, options := range [][]int{nil, {unix.SO_REUSEADDR}, {unix.SO_REUSEPORT}, {unix.SO_REUSEADDR, unix.SO_REUSEPORT}} {
			fd, err := h.bind(port, false, options...)
			if err == nil {
				_ = unix.Close(fd)
			}
			require.ErrorIs(t, err, syscall.EADDRINUSE, "%s, options %v", h.name, options)
		}
	}
}

func TestClose(t *testing.T) {
	p := newPool(t, 1)
	l := listen(t, p)
	client, server := connect(t, l)
	waiting := dial(t, "127.0.0.1", l.Port())
	// One of the two gets waiting, the other one waits; both end.
	a, b := accepting(l), accepting(l)
	select {
	case err := <-a:
		require.ErrorContains(t, err, waiting.LocalAddr().String()[len("127.0.0.1"):])
		a = nil
	case err := <-b:
		require.ErrorContains(t, err, waiting.LocalAddr().String()[len("127.0.0.1"):])
		b = nil
	}
	require.NoError(t, l.Close())
	for _, accept := range []<-chan error{a, b} {
		if accept != nil {
			requireClosed(t, accept)
		}
	}
	require.NoError(t, l.Close(), "closing twice")
	require.NoError(t, l.Hold(), "holding what is closed")
	requireClosed(t, accepting(l))
	assert.Zero(t, p.InUse())
	requireTalks(t, client, server)

	// The port can be had again although a connection on it lives on, and one
	// that this end closed first is in TIME_WAIT.
	again := listen(t, p)
	assert.Equal(t, l.Port(), again.Port())
	require.NoError(t, l.Close(), "closing the old one again")
	assert.Equal(t, 1, p.InUse(), "the slot is the new one's")
	_, server2 := connect(t, again)
	require.NoError(t, server2.Close())
	require.NoError(t, again.Close())
	listen(t, p)
}

func TestHold(t *testing.T) {
	p := newPool(t, 1)
	l := listen(t, p)
	client, server := connect(t, l)
	accept := accepting(l)
	require.NoError(t, l.Hold())
	requireClosed(t, accept)
	requireClosed(t, accepting(l))

	for _, host := range loopbacks {
		_, err := tryDial(host, l.Port())
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
	assert.Equal(t, 1, p.InUse())
	_, err := p.Listen(t.Context())
	assert.ErrorIs(t, err, portpool.ErrExhausted)
	requireNobodyBinds(t, l)
	requireTalks(t, client, server)
	require.NoError(t, l.Hold(), "holding twice")

	require.NoError(t, server.Close())
	requireNobodyBinds(t, l)
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	assert.Zero(t, p.InUse())
	assert.Equal(t, l.Port(), listen(t, p).Port())
}

func TestHoldResetsTheBacklog(t *testing.T) {
	l := listen(t, newPool(t, 1))
	waiting := dial(t, "127.0.0.1", l.Port())
	require.NoError(t, l.Hold())
	requireReset(t, waiting)
}

func TestReplaceTakesAFreePort(t *testing.T) {
	p := newPool(t, 2)
	a := listen(t, p)
	b, err := p.Replace(t.Context(), a)
	require.NoError(t, err)
	defer b.Close()
	assert.NotEqual(t, a.Port(), b.Port())
	assert.Equal(t, 2, p.InUse())
	connect(t, a)
	connect(t, b)
}

func TestReplaceInherits(t *testing.T) {
	for _, held := range []bool{false, true} {
		for _, host := range []string{"", "0.0.0.0", "127.0.0.1"} {
			t.Run(host+" held="+strconv.FormatBool(held), func(t *testing.T) {
				p := newPool(t, 2)
				p.Host = host
				other := listen(t, p)
				a := listen(t, p)
				client, server := connect(t, a)
				_, gone := connect(t, a)
				require.NoError(t, gone.Close()) // in TIME_WAIT from now on
				if held {
					require.NoError(t, a.Hold())
				}
				accept := accepting(a)

				b, err := p.Replace(t.Context(), a)
				require.NoError(t, err)
				defer b.Close()
				requireClosed(t, accept)
				requireClosed(t, accepting(a))
				assert.Equal(t, a.Port(), b.Port())
				assert.Equal(t, a.Addr(), b.Addr())
				assert.Equal(t, 2, p.InUse())

				// a is dead and does no harm.
				require.NoError(t, a.Hold())
				require.NoError(t, a.Close())
				assert.Equal(t, 2, p.InUse())

				// b is as good as new, and a's viewer hasn't noticed.
				connect(t, b)
				connect(t, other)
				requireTalks(t, client, server)
				require.NoError(t, b.Hold())
				requireNobodyBinds(t, b)
				c, err := p.Replace(t.Context(), b)
				require.NoError(t, err)
				connect(t, c)
				requireTalks(t, client, server)
				require.NoError(t, c.Close())
				assert.Equal(t, 1, p.InUse())
				assert.Equal(t, a.Port(), listen(t, p).Port())
			})
		}
	}
}

func TestReplaceDropsTheOldBacklog(t *testing.T) {
	p := newPool(t, 1)
	a := listen(t, p)
	waiting := dial(t, "127.0.0.1", a.Port())
	b, err := p.Replace(t.Context(), a)
	require.NoError(t, err)
	defer b.Close()
	requireReset(t, waiting)
	connect(t, b) // checks that it gets its own client
}

func TestReplaceWithoutAnOldOne(t *testing.T) {
	p := newPool(t, 1)
	a, err := p.Replace(t.Context(), nil)
	require.NoError(t, err)
	_, err = p.Replace(t.Context(), nil)
	require.ErrorIs(t, err, portpool.ErrExhausted)
	require.NoError(t, a.Close())
	b, err := p.Replace(t.Context(), a)
	require.NoError(t, err)
	defer b.Close()
	_, err = p.Replace(t.Context(), a)
	require.ErrorIs(t, err, portpool.ErrExhausted, "a closed one has nothing to inherit")
	connect(t, b)

	_, err = newPool(t, 1).Replace(t.Context(), b)
	require.EqualError(t, err, "portpool: the listener to replace is from another pool")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := newPool(t, 2)
	old := listen(t, q)
	_, err = q.Replace(ctx, old)
	require.ErrorIs(t, err, context.Canceled)
	connect(t, old)
}

// http.Server closes its listener whenever Serve returns.
func TestServe(t *testing.T) {
	p := newPool(t, 1)
	l := listen(t, p)
	srv := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			assert.NoError(t, l.Hold())
			_, _ = io.WriteString(w, "hello")
		}),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l.HoldOnClose()) }()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: testenv.Patience}
	resp, err := client.Get("http://127.0.0.1:" + strconv.Itoa(l.Port()))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(body))
	require.NoError(t, resp.Body.Close())
	requireClosed(t, served)
	require.NoError(t, srv.Close())
	assert.Equal(t, 1, p.InUse(), "the slot outlives the server")
	requireNobodyBinds(t, l)

	b, err := p.Replace(t.Context(), l)
	require.NoError(t, err)
	defer b.Close()
	srv = &http.Server{ReadHeaderTimeout: 10 * time.Second}
	go func() { served <- srv.Serve(b) }()
	resp, err = client.Get("http://127.0.0.1:" + strconv.Itoa(b.Port()))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, srv.Close())
	require.ErrorIs(t, <-served, http.ErrServerClosed)
	assert.Zero(t, p.InUse())
}

// Many goroutines live through shadows at once; no port ever has two owners.
func TestStress(t *testing.T) {
	p := newPool(t, 5)
	var mu sync.Mutex
	owners := make(map[int]*portpool.Listener)
	own := func(l *portpool.Listener) {
		mu.Lock()
		defer mu.Unlock()
		assert.True(t, owners[l.Port()] == nil, "port %d has an owner", l.Port())
		owners[l.Port()] = l
	}
	disown := func(l *portpool.Listener) {
		mu.Lock()
		defer mu.Unlock()
		if owners[l.Port()] == l {
			delete(owners, l.Port())
		}
	}
	shadow := func(rnd *rand.Rand) {
		l, err := p.Listen(t.Context())
		if errors.Is(err, portpool.ErrExhausted) {
			return
		}
		if !assert.NoError(t, err) {
			return
		}
		own(l)
		accept := accepting(l)
		if rnd.IntN(2) == 0 {
			if c, err := tryDial("127.0.0.1", l.Port()); assert.NoError(t, err) {
				<-accept
				_ = c.Close()
				accept = accepting(l)
			}
		}
		if rnd.IntN(2) == 0 {
			assert.NoError(t, l.Hold())
		}
		if rnd.IntN(2) == 0 {
			disown(l)
			var wg sync.WaitGroup
			if rnd.IntN(4) == 0 {
				wg.Go(func() { assert.NoError(t, l.Close()) })
			}
			b, err := p.Replace(t.Context(), l)
			wg.Wait()
			_ = l.Close()
			if err == nil {
				own(b)
				disown(b)
				assert.NoError(t, b.Close())
			} else {
				assert.ErrorIs(t, err, portpool.ErrExhausted)
			}
		} else {
			disown(l)
		}
		assert.NoError(t, l.Close())
		assert.ErrorIs(t, <-accept, net.ErrClosed)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for range 100 {
				shadow(rnd)
			}
		})
	}
	wg.Wait()
	assert.Zero(t, p.InUse())
	for range 5 {
		listen(t, p)
	}
}

// A viewer that arrives while the listening ends is either handed out or
// reset, never left hanging.
func TestHoldWhileSomebodyConnects(t *testing.T) {
	p := newPool(t, 1)
	for range 300 {
		l, err := p.Listen(t.Context())
		require.NoError(t, err)
		accept := accepting(l)
		dialed := make(chan net.Conn)
		go func() {
			c, _ := tryDial("127.0.0.1", l.Port())
			dialed <- c
		}()
		runtime.Gosched()
		require.NoError(t, l.Hold())
		if c := <-dialed; c != nil {
			require.NoError(t, c.SetDeadline(time.Now().Add(testenv.Patience)))
			_, err := c.Read(make([]byte, 1))
			require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the connection hangs")
			_ = c.Close()
		}
		<-accept
		require.NoError(t, l.Close())
	}
}
