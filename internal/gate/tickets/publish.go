package tickets

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/redis"
	"vda.internal/shadow/internal/strangers"
)

// Redis publishes tokens where websockify's plugin TokenRedis looks for them.
type Redis struct {
	redis.Server
	Namespace string // before the token and a colon; empty: the token alone
}

// publish sets what a token leads to, for so long. The plugin removes nothing: the port lets one in.
func (r *Redis) publish(ctx context.Context, token, target string, valid time.Duration) error {
	value, err := json.Marshal(map[string]string{"host": target})
	if err != nil {
		return err
	}
	key := token
	if r.Namespace != "" {
		key = r.Namespace + ":" + token
	}
	seconds := max(1, int(math.Ceil(valid.Seconds())))
	if _, err := r.Do(ctx, "SET", key, string(value), "EX", strconv.Itoa(seconds)); err != nil {
		return fmt.Errorf("Redis at %s: %w", r.Address, err)
	}
	return nil
}

// A target is what JSONTokenApi reads.
type target struct {
	Host string `json:"host"`
	Port string `json:"port"`
}

// An API answers websockify's plugin JSONTokenApi, whose --token-source is
// http://ADDRESS/SECRET/%s. It says once where a token leads. The secret, and where it is asked from,
// tell its callers from everybody else: the plugin can't show more.
type API struct {
	secret [sha256.Size]byte
	from   []netip.Prefix

	mu     sync.Mutex
	tokens map[string]entry
}

type entry struct {
	target
	until time.Time
}

const (
	minSecret = 16   // characters
	maxTokens = 4096 // that nobody has asked for yet
)

// NewAPI returns an API for those who know secret, from those networks. The secret has 16 letters,
// digits, hyphens and underscores or more.
func NewAPI(secret string, from []netip.Prefix) (*API, error) {
	plain := func(r rune) bool {
		return r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if len(secret) < minSecret || strings.ContainsFunc(secret, func(r rune) bool { return !plain(r) }) {
		return nil, fmt.Errorf("the secret must have %d letters, digits, hyphens and underscores or more, such as openssl rand -hex 20 gives", minSecret)
	}
	if len(from) == 0 {
		return nil, errors.New("no front end may ask")
	}
	return &API{secret: sha256.Sum256([]byte(secret)), from: from, tokens: map[string]entry{}}, nil
}

// put keeps where a token leads, and forgets those whose time is over, or the next to end if there are too many.
func (a *API) put(token string, t target, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, first := time.Now(), ""
	for name, e := range a.tokens {
		if now.After(e.until) {
			delete(a.tokens, name)
		} else if first == "" || e.until.Before(a.tokens[first].until) {
			first = name
		}
	}
	if len(a.tokens) >= maxTokens {
		delete(a.tokens, first)
	}
	a.tokens[token] = entry{t, until}
}

// burn is where a token leads, and forgets it.
func (a *API) burn(token string) (target, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.tokens[token]
	delete(a.tokens, token)
	return e.target, ok && time.Now().Before(e.until)
}

// ServeHTTP implements http.Handler. All that is no good gets the same 404.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secret, token, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	hash := sha256.Sum256([]byte(secret))
	known := subtle.ConstantTimeCompare(hash[:], a.secret[:]) == 1
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	near := err == nil && slices.ContainsFunc(a.from, func(n netip.Prefix) bool { return n.Contains(from.Addr().Unmap().WithZone("")) })
	w.Header().Set("Cache-Control", "no-store")
	if !ok || !known || !near || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	t, ok := a.burn(token)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(t)
}

const (
	maxCallers = 128             // connections to the API from one address, four times as many from all
	callerTime = 5 * time.Minute // for one of them at most: front ends need one request
)

// Server is an HTTP server for the API, with its bounds. The caller serves and closes it.
// Whoever comes is let in, and the oldest connection of the biggest crowd goes.
func (a *API) Server() *http.Server {
	door := (&strangers.Crowd{Max: 4 * maxCallers, PerDoor: 4 * maxCallers, PerAddress: maxCallers}).Door()
	var here sync.Map // net.Conn to *strangers.Stranger
	return &http.Server{
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			here.Store(c, door.Arrive(c, callerTime))
			return ctx
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				if s, ok := here.LoadAndDelete(c); ok {
					s.(*strangers.Stranger).Leave()
				}
			}
		},
		Handler: a, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog: log.New(zerolog.Nop(), "", 0),
	}
}
