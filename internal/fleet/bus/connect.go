package bus

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/dial"
)

// A Target is where the bus is.
type Target struct {
	Server  *Server      // in this process; nil: Dir
	Dir     string       // what the server keeps of a gate that runs on this machine ([Options.Dir]); empty: Servers
	Servers []string     // NATS URLs
	TLS     *tls.Config  // nil: the system's authorities vouch for Servers
	Once    bool         // the first attempt to connect is the last
	Notice  *dial.Notice // is told how the connection is doing; nil: nobody is
}

// A Conn is a gate's connection to the bus.
type Conn struct {
	NATS   *nats.Conn
	JS     jetstream.JetStream
	Signer *fleet.Signer
}

// Connect connects as the gate of that name, with a key that is made for it. What breaks later is tried
// again for ever. The caller closes the Conn.
func (k *Keys) Connect(ctx context.Context, name string, to Target, more ...nats.Option) (*Conn, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	token, err := k.Gate(name, public(key))
	if err != nil {
		return nil, err
	}
	options := append(dial.Options(key, token), nats.Name("shadowgate "+name), nats.CustomInboxPrefix(fleet.GateInbox(public(key))))
	servers := strings.Join(to.Servers, ",")
	if to.Server != nil {
		servers = ""
		options = append(options, nats.InProcessServer(to.Server.ns))
	} else if to.Dir != "" {
		servers = nats.DefaultURL
		options = append(options, private(to.Dir)...)
	} else if to.TLS != nil {
		options = append(options, nats.Secure(to.TLS))
	}
	if to.Once {
		options = append(options, nats.RetryOnFailedConnect(false), nats.MaxReconnects(0))
	}
	nc, err := dial.Connect(ctx, servers, to.Notice, append(options, more...)...)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	if to.Server != nil {
		to.Server.joined(nc)
	}
	return &Conn{NATS: nc, JS: js, Signer: &fleet.Signer{Name: name, Key: key, JWT: token}}, nil
}

// Close ends the connection.
func (c *Conn) Close() { c.NATS.Close() }

// How long things are kept.
const (
	auditAge   = 400 * 24 * time.Hour // a year, and the month in which it is looked at
	dedupTime  = 2 * time.Minute      // for which a line's id is known to the server; readers know for longer
	markerTime = time.Minute          // for which it is known that a key has ended
	makeTime   = 10 * time.Second     // for the streams: what servers that choose a leader have dropped is asked for again

	// Of the room for all audits one host may fill a quarter. NATS counts messages of a subject and not their
	// bytes, so each may be long, and few of them would fit a small room: there are leastOfHost all the same.
	shareOfHost = 4
	leastOfHost = 1024
)

// A Size bounds what the bus keeps.
type Size struct {
	AuditBytes int64 // of all hosts' audits; 0: unlimited
	Replicas   int   // servers that have each line; 0: one
}

// wildcard is what the * of a transform's source stood for.
const wildcard = "{{wildcard(1)}}"

// Prepare makes the stream and the buckets, or brings them up to date. What hosts say gets there by [Conn.Relay] only,
// and stands there under the subject at which the host said it.
func (c *Conn) Prepare(ctx context.Context, size Size) error {
	ctx, cancel := context.WithTimeout(ctx, makeTime)
	defer cancel()
	replicas := max(1, size.Replicas)
	audit := jetstream.StreamConfig{
		Name: fleet.AuditStream, Description: "what happened on the hosts", Subjects: []string{fleet.KeptAudit("*")},
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: fleet.KeptAudit("*"), Destination: fleet.AuditSubject(wildcard)},
		Storage:          jetstream.FileStorage, Replicas: replicas, Duplicates: dedupTime, MaxAge: auditAge, MaxBytes: -1, MaxMsgsPerSubject: -1,
		Discard: jetstream.DiscardOld, AllowDirect: true, DenyDelete: true, MaxMsgSize: fleet.MaxLine,
	}
	if size.AuditBytes > 0 {
		audit.MaxBytes, audit.MaxMsgsPerSubject = size.AuditBytes, max(leastOfHost, size.AuditBytes/shareOfHost/fleet.MaxLine)
	}
	stream, err := c.JS.CreateOrUpdateStream(ctx, audit)
	if err == nil {
		err = checkTaken(stream)
	}
	if err != nil {
		return fmt.Errorf("the stream of audits: %w", err)
	}
	// What hosts say is written into this bucket. A bucket that NATS's client makes, or one with markers of what has expired, lets
	// whoever may write one key wipe all of them, by a header.
	if stream, err = c.JS.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "KV_" + fleet.HostBucket, Description: "hosts that are there", Subjects: []string{fleet.KeptPresence("*")},
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: fleet.KeptPresence("*"), Destination: fleet.PresenceSubject(wildcard)},
		Storage:          jetstream.MemoryStorage, Replicas: replicas, MaxAge: fleet.PresenceTTL, MaxMsgsPerSubject: 1, MaxMsgSize: fleet.MaxMessage,
		Discard: jetstream.DiscardNew, AllowDirect: true, DenyDelete: true, Duplicates: fleet.PresenceTTL,
		AllowMsgTTL: true, // which can't be taken away from a bucket that has it
	}); err == nil {
		err = checkTaken(stream)
	}
	if err != nil {
		return fmt.Errorf("the hosts' bucket: %w", err)
	}
	if _, err := c.JS.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: fleet.FleetBucket, Description: "hosts that are enrolled, and invitations", LimitMarkerTTL: markerTime,
		Storage: jetstream.FileStorage, Replicas: replicas, History: 1,
	}); err != nil {
		return fmt.Errorf("the fleet's bucket: %w", err)
	}
	return nil
}
