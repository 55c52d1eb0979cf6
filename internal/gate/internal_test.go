package gate

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/gate/activity"
	"vda.internal/shadow/internal/gate/signin"
)

// frame is a masked frame.
func frame(opcode byte, payload []byte) []byte {
	b := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 250}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

func join(all ...[]byte) (b []byte) {
	for _, one := range all {
		b = append(b, one...)
	}
	return b
}

func TestFrames(t *testing.T) {
	code := func(c uint16, reason string) []byte { return append(binary.BigEndian.AppendUint16(nil, c), reason...) }
	for name, c := range map[string]struct {
		stream []byte
		want   int
	}{
		"nothing":          {nil, 0},
		"data":             {frame(2, []byte("hello")), 0},
		"close":            {frame(8, code(1001, "")), 1001},
		"close and reason": {frame(8, code(4000, "reload")), 4000},
		"close, no code":   {frame(8, nil), 1005},
		"half a close":     {frame(8, code(1001, ""))[:7], 0},
		"behind data":      {join(frame(2, make([]byte, 125)), frame(2, nil), frame(9, []byte("x")), frame(8, code(1000, ""))), 1000},
		"behind 126":       {join(frame(2, make([]byte, 126)), frame(8, code(1000, ""))), 1000},
		"behind 70000":     {join(frame(2, make([]byte, 70000)), frame(8, code(1001, ""))), 1001},
		"first counts":     {join(frame(8, code(1000, "")), frame(8, code(1001, ""))), 1000},
		"looks like one":   {frame(2, frame(8, code(1001, ""))), 0},
		"not masked":       {[]byte{0x88, 2, 3, 0xe9}, 1001},
	} {
		for _, step := range []int{1, 2, 3, 7, 1 << 20} {
			var f frames
			for rest := c.stream; len(rest) > 0; {
				n := min(step, len(rest))
				f.scan(rest[:n])
				rest = rest[n:]
			}
			require.Equal(t, c.want, f.code, "%s, %d at a time", name, step)
		}
	}
}

// However the bytes are cut, the same is found; nothing makes it panic.
func FuzzFrames(f *testing.F) {
	f.Add(join(frame(2, make([]byte, 200)), frame(8, []byte{3, 233})), 3)
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 1)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		var whole, parts frames
		whole.scan(b)
		cut := 0
		if len(b) > 0 {
			cut = int(uint(at) % uint(len(b)))
		}
		parts.scan(b[:cut])
		for i := cut; i < len(b); i++ {
			parts.scan(b[i : i+1])
		}
		require.Equal(t, whole.code, parts.code)
	})
}

func TestWithoutDefault(t *testing.T) {
	for origin, want := range map[string]string{
		"https://g.example": "g.example:443", "https://g.example:443": "g.example", "http://g.example:80": "g.example", "https://g.example:8443": "g.example:8443",
		"https://[2001:db8::1]:443": "[2001:db8::1]", "https://[2001:db8::1]": "[2001:db8::1]:443",
	} {
		u, err := url.Parse(origin)
		require.NoError(t, err)
		require.Equal(t, want, withoutDefault(u), origin)
	}
}

// A person has one share, however often signed in.
func TestViewsOfOne(t *testing.T) {
	vs := newViews(nil)
	for i := range maxViewsOne {
		require.Nil(t, vs.add(&viewing{ID: fmt.Sprint(i), Owner: fmt.Sprint("session", i), Name: "ann", Method: "password"}))
	}
	require.NotNil(t, vs.add(&viewing{ID: "x", Owner: "another", Name: "ann", Method: "password"}))
	require.Nil(t, vs.add(&viewing{ID: "y", Owner: "another", Name: "bob", Method: "password"}))
}

// What couldn't be stopped is stopped once more.
func TestTidyAgain(t *testing.T) {
	vs := newViews(&Gate{Config: Config{Desk: signin.New(signin.Config{Sealer: signin.NewSealer()})}})
	v := &viewing{ID: "x", Until: time.Now().Add(time.Hour), closed: time.Now().Add(-time.Hour)}
	require.Nil(t, vs.add(v))
	require.Len(t, vs.tidy(), 1)
	require.Empty(t, vs.tidy())
	vs.tryAgain(v)
	require.Len(t, vs.tidy(), 1)
	require.Empty(t, vs.tidy())
}

// Half a download must not look like a whole one when its session has ended.
func TestDownloadSignedOut(t *testing.T) {
	store, err := activity.Open(t.TempDir(), 1<<20)
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, store.Add("h", shadow.Event{Type: shadow.EventRequested}))
	g := &Gate{mostDownload: maxDownload, Config: Config{Activity: store}}
	ctx, cancel := context.WithCancelCause(t.Context())
	r := httptest.NewRequest(http.MethodGet, "/api/v1/activity?format=csv", nil)
	for _, format := range []string{"csv", "jsonl"} {
		w := httptest.NewRecorder()
		g.download(ctx, w, r, activity.Query{}, format)
		require.Contains(t, w.Body.String(), "requested")
	}
	cancel(errSignedOut)
	for _, format := range []string{"csv", "jsonl"} {
		w := httptest.NewRecorder()
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { g.download(ctx, w, r, activity.Query{}, format) })
		require.NotContains(t, w.Body.String(), "requested")
	}
}

func TestLocalPath(t *testing.T) {
	for s, want := range map[string]string{
		"": "/", "/": "/", "/activity": "/activity", "/activity?user=ann": "/activity?user=ann", "/view/abc": "/view/abc", "/me": "/me",
		"//evil.example": "/", "///evil.example": "/", `/\evil.example`: "/", `\\evil.example`: "/", "https://evil.example": "/", "https:evil.example": "/",
		"javascript:alert(1)": "/", "/view/../../evil": "/", "/view/..": "/", "/./me": "/", "/api/v1/me": "/", "/signin/oidc?next=/": "/", "evil": "/", "/me\r\nX: y": "/",
		"/view/a b": "/view/a%20b", "/%2f%2fevil.example": "/", "/view//x": "/", "?next=x": "/", "/me#//evil": "/me", "@evil.example": "/", "/\tevil": "/",
	} {
		require.Equal(t, want, localPath(s), "%q", s)
	}
}
