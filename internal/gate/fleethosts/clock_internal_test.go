package fleethosts

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/gate/hosts"
)

// An entry is what a bucket says of a key.
type entry struct {
	jetstream.KeyValueEntry // of which nothing else is asked
	key                     string
	value                   []byte
	created                 time.Time
}

func (e entry) Key() string                     { return e.key }
func (e entry) Value() []byte                   { return e.value }
func (e entry) Created() time.Time              { return e.created }
func (e entry) Operation() jetstream.KeyValueOp { return jetstream.KeyValuePut }
func (e entry) Delta() uint64                   { return 0 }

// What a host said before the gate began is as old as the bus says, by the bus's clock; what it says now is new, whatever
// clocks say. A gate whose clock is ahead of the bus's would take all hosts for silent otherwise.
func TestClockOfTheBus(t *testing.T) {
	vouches, err := nkeys.CreateAccount()
	require.NoError(t, err)
	fleetKey, err := vouches.PublicKey()
	require.NoError(t, err)
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	claims := jwt.NewUserClaims(public)
	claims.Name = "vda1"
	claims.Tags.Add(fleet.HostTag)
	token, err := claims.Encode(vouches)
	require.NoError(t, err)
	record, err := json.Marshal(fleet.Enrolled{ID: "vda1", Key: public, JWT: token})
	require.NoError(t, err)

	for _, ahead := range []time.Duration{time.Hour, -time.Hour} { // of ours
		d := New(nil, Options{Fleet: fleetKey, Logger: zerolog.Nop()})
		ctx, cancel := context.WithCancel(t.Context())
		stopped, enrolled, present := make(chan jetstream.KeyValueEntry), make(chan jetstream.KeyValueEntry), make(chan jetstream.KeyValueEntry)
		over := make(chan struct{})
		go func() {
			defer close(over)
			_ = d.follow(ctx, updates{stopped, enrolled, present, ahead}, nil, func(hosts.Host) {}, func(hosts.Host) {})
		}()
		say := func(age time.Duration) {
			value, err := fleet.SignPresence(key, &fleet.Presence{ID: "vda1", Boot: "b", Time: time.Now(), Since: time.Unix(1, 0)})
			require.NoError(t, err)
			present <- entry{key: "vda1", value: value, created: time.Now().Add(ahead - age)}
		}
		stopped <- nil
		enrolled <- entry{key: fleet.EnrolledKey("vda1"), value: record}
		enrolled <- nil
		say(20 * time.Second)
		present <- nil
		h := d.host("vda1")
		require.NotNil(t, h)
		require.LessOrEqual(t, h.AsOf(), time.Now().Add(-20*time.Second-travelTime).Add(time.Second), "it is an old one")
		began := time.Now()
		say(0)
		say(0) // the first has been taken
		require.GreaterOrEqual(t, h.AsOf(), began.Add(-travelTime), "it has just come")
		cancel()
		<-over
	}
}
