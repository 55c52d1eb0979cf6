package anontls

import (
	"io"
	"math/big"
	"slices"
	"sync"
)

const (
	minBits = 2048 // of a prime; fewer protect from nobody who has prepared for the group
	maxBits = 8192 // of a prime that is known
	maxNews = 4096 // of one that isn't: it takes half a second to look at

	ownBits = 512 // of an exponent in a group that is known: twice what the largest is strong for (RFC 7919 §5.2)
)

// A namedGroup is one of RFC 7919's appendix A.
type namedGroup struct {
	id    uint16
	bits  int
	prime func() *big.Int
}

var named = []namedGroup{
	{256, 2048, ffdhe(2048, 560316)},
	{257, 3072, ffdhe(3072, 2625351)},
	{258, 4096, ffdhe(4096, 5736041)},
	{259, 6144, ffdhe(6144, 15705020)},
	{260, 8192, ffdhe(8192, 10965728)},
}

// ffdhe is a prime of appendix A: 2^b - 2^(b-64) + (⌊2^(b-130) e⌋ + x) 2^64 - 1.
func ffdhe(b uint, x int64) func() *big.Int {
	return sync.OnceValue(func() *big.Int {
		const guard = 64 // bits that the sum of cut terms may spoil
		unit := new(big.Int).Lsh(big.NewInt(1), b-130+guard)
		e, term := new(big.Int), new(big.Int).Set(unit)
		for k := int64(1); term.Sign() > 0; k++ {
			e.Add(e, term)
			term.Div(term, big.NewInt(k))
		}
		e.Rsh(e, guard)
		e.Add(e, big.NewInt(x)).Lsh(e, 64)
		p := new(big.Int).Lsh(big.NewInt(1), b)
		p.Sub(p, new(big.Int).Lsh(big.NewInt(1), b-64))
		return p.Add(p, e).Sub(p, big.NewInt(1))
	})
}

var one, two = big.NewInt(1), big.NewInt(2)

// A group is Diffie-Hellman's, and the server's public value in it.
type group struct {
	prime, generator, public *big.Int
	last                     *big.Int // the prime less one
}

// parseGroup reads an anonymous ServerKeyExchange (§7.4.3).
func parseGroup(b []byte) (*group, error) {
	f := &fields{b: b}
	p, g, y := f.vector(2), f.vector(2), f.vector(2)
	if !f.done() {
		return nil, wrong(alertDecodeError, "ServerKeyExchange of %d bytes", len(b))
	}
	q := &group{prime: new(big.Int).SetBytes(p), generator: new(big.Int).SetBytes(g), public: new(big.Int).SetBytes(y)}
	q.last = new(big.Int).Sub(q.prime, one)
	return q, q.check()
}

// check refuses what gives no secret: RFC 7919 §3 and §5.1. Of a group that isn't known it is also seen
// whether it has a prime, and not whether its generator has a large order, which takes longer: agree sees to values
// that give a small one away.
func (q *group) check() error {
	bits := q.prime.BitLen()
	switch {
	case bits < minBits:
		return because(ErrUnfit, alertInsufficientSecurity, "its Diffie-Hellman group has %d bits, at least %d are needed", bits, minBits)
	case bits > maxBits:
		return wrong(alertIllegalParameter, "Diffie-Hellman group of %d bits, at most %d", bits, maxBits)
	case !q.inside(q.generator) || !q.inside(q.public):
		return wrong(alertIllegalParameter, "Diffie-Hellman value out of its group")
	case !q.known() && bits > maxNews:
		return because(ErrUnfit, alertIllegalParameter, "its Diffie-Hellman group of %d bits is not a known one", bits)
	case !q.known() && !q.prime.ProbablyPrime(0):
		return because(ErrUnfit, alertIllegalParameter, "its Diffie-Hellman group has no prime")
	}
	return nil
}

// inside reports whether 1 < v < prime - 1.
func (q *group) inside(v *big.Int) bool { return v.Cmp(one) > 0 && v.Cmp(q.last) < 0 }

// known reports whether the group is RFC 7919's.
func (q *group) known() bool {
	return q.generator.Cmp(two) == 0 && slices.ContainsFunc(named, func(n namedGroup) bool {
		return n.bits == q.prime.BitLen() && n.prime().Cmp(q.prime) == 0
	})
}

// agree returns our public value, as long as the prime, and the premaster secret, without zeros in front (§8.1.2).
// The exponent is used once and forgotten: how long math/big takes for it tells nobody anything about another one.
func (q *group) agree(random io.Reader) (ours, premaster []byte, err error) {
	bits := q.prime.BitLen() - 1
	if q.known() {
		bits = ownBits
	}
	exponent := make([]byte, bits/8)
	if _, err := io.ReadFull(random, exponent); err != nil {
		return nil, nil, err
	}
	x := new(big.Int).SetBytes(exponent)
	x.Add(x, two)
	public := new(big.Int).Exp(q.generator, x, q.prime)
	secret := new(big.Int).Exp(q.public, x, q.prime)
	if !q.inside(public) || !q.inside(secret) {
		return nil, nil, because(ErrUnfit, alertIllegalParameter, "its Diffie-Hellman group is too small inside")
	}
	return public.FillBytes(make([]byte, (q.prime.BitLen()+7)/8)), secret.Bytes(), nil
}
