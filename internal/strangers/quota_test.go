package strangers

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Each has a share of his own, and is told when there is more of it.
func TestQuota(t *testing.T) {
	now := time.Unix(1000, 0)
	q := Quota{Size: 3, Every: time.Minute}
	take := func(key string) (int, time.Duration) { return q.Take(key, now) }
	for range 3 {
		left, wait := take("a")
		assert.Zero(t, left)
		assert.Zero(t, wait)
	}
	for range 5 {
		_, wait := take("a")
		assert.Equal(t, time.Minute, wait)
	}
	_, wait := take("b")
	assert.Zero(t, wait, "it is another's share")
	now = now.Add(time.Minute)
	left, wait := take("a")
	assert.Equal(t, 5, left)
	assert.Zero(t, wait)
	q.GiveBack("a", now)
	left, wait = take("a")
	assert.Zero(t, left, "they were told of")
	assert.Zero(t, wait)
	q.GiveBack("nobody", now)
}

// However many there are, what is remembered of them is bounded, and whoever has used most isn't forgotten.
func TestQuotaOfMany(t *testing.T) {
	now := time.Unix(1000, 0)
	q := Quota{Size: 3, Every: time.Minute}
	for range 3 {
		q.Take("greedy", now)
	}
	for i := range 3 * maxShares {
		q.Take(fmt.Sprint(i), now)
	}
	assert.LessOrEqual(t, len(q.all), maxShares)
	_, wait := q.Take("greedy", now)
	assert.NotZero(t, wait)
	now = now.Add(time.Hour)
	for i := range maxShares {
		q.Take(fmt.Sprint("later ", i), now)
	}
	assert.LessOrEqual(t, len(q.all), maxShares)
}
