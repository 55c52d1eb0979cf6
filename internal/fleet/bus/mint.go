package bus

import (
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"vda.internal/shadow/internal/fleet"
)

// A Revocation ends what a key may: what was vouched for until then.
type Revocation = fleet.Revocation

// answerTime is how long a host may take to answer: a user may be given ten minutes.
const answerTime = 11 * time.Minute

// What one host's key may hold of a server: a host subscribes to some twenty subjects.
const (
	hostSubs    = 64
	hostHeaders = 4 << 10 // besides a message
)

// Host is the JWT by which the host id, with a public key, may take part.
func (k *Keys) Host(id, key string) (string, error) {
	if err := fleet.CheckID(id); err != nil {
		return "", err
	}
	if !nkeys.IsValidPublicUserKey(key) {
		return "", fmt.Errorf("%.80q isn't the public key of a user", key)
	}
	c := jwt.NewUserClaims(key)
	c.Tags.Add(fleet.HostTag)
	c.Pub.Allow.Add(fleet.AuditSubject(id), fleet.PresenceSubject(id))
	c.Sub.Allow.Add(fleet.HostInbox(id) + ".>")
	for _, kind := range fleet.Kinds() {
		c.Sub.Allow.Add(fleet.Subject(id, kind))
	}
	for _, verb := range []string{"PING", "INFO", "STATS"} { // what NATS asks every micro service
		c.Sub.Allow.Add("$SRV."+verb, "$SRV."+verb+"."+fleet.Service, "$SRV."+verb+"."+fleet.Service+".*")
	}
	c.Limits.Subs, c.Limits.Payload = hostSubs, fleet.MaxMessage+hostHeaders
	c.Resp = &jwt.ResponsePermission{MaxMsgs: 1, Expires: answerTime}
	return k.vouch(c, id)
}

// Gate is the JWT by which a gate may take part.
func (k *Keys) Gate(name, key string) (string, error) {
	c := jwt.NewUserClaims(key)
	c.Tags.Add(fleet.GateTag)
	c.Pub.Allow.Add(fleet.HostFilter("*"), fleet.KeptAudit("*"), fleet.KeptPresence("*"), "$KV."+fleet.FleetBucket+".>", "$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$SRV.>", "$SYS.REQ.SERVER.PING.CONNZ")
	c.Sub.Allow.Add(fleet.GateInbox(key)+".>", fleet.AuditFilter, fleet.PresenceSubject("*"))
	return k.vouch(c, name)
}

// vouch signs claims for somebody of that name.
func (k *Keys) vouch(c *jwt.UserClaims, name string) (string, error) {
	c.Name = name
	if k.account != k.Fleet() {
		c.IssuerAccount = k.account
	}
	token, err := c.Encode(k.fleet)
	if err != nil {
		return "", err
	}
	return token, nil
}
