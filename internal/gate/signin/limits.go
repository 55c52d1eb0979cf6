package signin

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"vda.internal/shadow/internal/strangers"
)

// How many wrong passwords there may be. Each kind is a bucket: so many at once, and one more
// after each pause. Whoever knows the right password waits, too, while a bucket is empty, so
// that a guesser never learns that he has guessed it. An account's own bucket is bigger than one
// address's share of it, so that one address can't lock an account for everybody; and many addresses don't lock it
// where its owner has signed in before.
var (
	perAccountAndAddress = allowance{5, time.Minute}
	perAddress           = allowance{20, 15 * time.Second}
	perAccount           = allowance{50, 10 * time.Second}
)

// perVisitor is how often an address may be sent to the provider, or come back from it.
var perVisitor = allowance{40, time.Second}

// maxBuckets bounds the memory of a kind.
const maxBuckets = 10_000

// An allowance is a bucket's size, and how long one place in it takes to be free again.
type allowance struct {
	size  float64
	every time.Duration
}

// TooManyError is that there were too many wrong passwords.
type TooManyError struct {
	After time.Duration // when another attempt is let through
}

// Error implements error.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many attempts to sign in; try again in %v", e.After.Round(time.Second))
}

// Limits counts wrong passwords. The zero Limits is ready to use.
type Limits struct {
	mu       sync.Mutex
	both     buckets
	accounts buckets
	address  buckets
	visitors buckets
	good     map[string][]string // networks from which an account has signed in, the last one last
}

const (
	maxGood    = 8      // networks of one account
	maxGoodAll = 10_000 // accounts of which they are remembered
)

// visit counts a way to the provider or back. The error is a *[TooManyError].
func (l *Limits) visit(from string, now time.Time) error {
	network := networkOf(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := l.visitors.wait(network, perVisitor, now); wait > 0 {
		return &TooManyError{After: wait}
	}
	l.visitors.add(network, perVisitor, now, 1)
	return nil
}

// full reports whether no attempt of an address is let through. The error is a *[TooManyError].
func (l *Limits) full(from string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := l.address.wait(networkOf(from), perAddress, now); wait > 0 {
		return &TooManyError{After: wait}
	}
	return nil
}

// take reserves one attempt, which is given back if the password is right. The error is a
// *[TooManyError].
func (l *Limits) take(name, from string, now time.Time) error {
	network := networkOf(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	kinds := []struct {
		of  *buckets
		key string
		a   allowance
	}{
		{&l.both, name + "\x00" + network, perAccountAndAddress},
		{&l.accounts, name, perAccount},
		{&l.address, network, perAddress},
	}
	var wait time.Duration
	for _, k := range kinds {
		if k.of == &l.accounts && slices.Contains(l.good[name], network) {
			continue
		}
		wait = max(wait, k.of.wait(k.key, k.a, now))
	}
	if wait > 0 {
		return &TooManyError{After: wait}
	}
	for _, k := range kinds {
		k.of.add(k.key, k.a, now, 1)
	}
	return nil
}

// giveBack undoes take after a right password.
func (l *Limits) giveBack(name, from string, now time.Time) {
	network := networkOf(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.both.add(name+"\x00"+network, perAccountAndAddress, now, -perAccountAndAddress.size)
	l.accounts.add(name, perAccount, now, -1)
	l.address.add(network, perAddress, now, -1)
	l.remember(name, network)
}

// remember notes that an account has signed in from a network. l.mu is held.
func (l *Limits) remember(name, network string) {
	if l.good == nil {
		l.good = map[string][]string{}
	}
	if _, there := l.good[name]; !there && len(l.good) >= maxGoodAll {
		for other := range l.good {
			delete(l.good, other)
			break
		}
	}
	list := slices.DeleteFunc(slices.Clone(l.good[name]), func(n string) bool { return n == network })
	if len(list) >= maxGood {
		list = list[1:]
	}
	l.good[name] = append(list, network)
}

// networkOf is what counts as one address: see [strangers.Network].
func networkOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	return strangers.Network(a).String()
}

// buckets are those of one kind, by key.
type buckets struct{ all map[string]bucket }

// A bucket is how much is used of an allowance, at a time.
type bucket struct {
	used float64
	at   time.Time
}

// level is how much is used now.
func (b bucket) level(a allowance, now time.Time) float64 {
	return max(0, b.used-now.Sub(b.at).Seconds()/a.every.Seconds())
}

// wait is how long there is no room for one more.
func (b *buckets) wait(key string, a allowance, now time.Time) time.Duration {
	over := b.all[key].level(a, now) + 1 - a.size
	if over <= 0 {
		return 0
	}
	return time.Duration(over * float64(a.every))
}

// add uses n more of a bucket, or frees it if n is negative.
func (b *buckets) add(key string, a allowance, now time.Time, n float64) {
	if b.all == nil {
		b.all = map[string]bucket{}
	}
	level := max(0, b.all[key].level(a, now)+n)
	if level == 0 {
		delete(b.all, key)
		return
	}
	if _, there := b.all[key]; !there && len(b.all) >= maxBuckets {
		b.tidy(a, now)
	}
	b.all[key] = bucket{level, now}
}

// sample is how many buckets are looked at to find one that may go.
const sample = 64

// tidy makes room: of some buckets, as the map's order has them, the least used goes, and each that
// is empty.
func (b *buckets) tidy(a allowance, now time.Time) {
	least, lowest, seen := "", a.size+1, 0
	for key, one := range b.all {
		level := one.level(a, now)
		if level == 0 {
			delete(b.all, key)
		} else if level < lowest {
			least, lowest = key, level
		}
		if seen++; seen >= sample {
			break
		}
	}
	if len(b.all) >= maxBuckets {
		delete(b.all, least)
	}
}
