package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/bus"
	"vda.internal/shadow/internal/fleet/enrol"
)

// A Registry is the list on a bus.
type Registry struct {
	Conn    *bus.Conn
	Keys    *bus.Keys
	Servers []string // NATS URLs for hosts
	CA      string   // authorities of the gate and of Servers, in PEM; empty: the system's

	Reserved string // name of the gate's own machine in its console, which no host of the fleet may have; empty: none
}

const (
	invitations = "invite."
	// LongestInvitation bounds how long an invitation may be good.
	LongestInvitation = 30 * 24 * time.Hour
	shortest          = time.Minute
)

// An invitation is what a code stands for.
type invitation struct {
	Hosts   string    `json:"hosts"` // pattern as of path.Match
	Until   time.Time `json:"until"`
	By      string    `json:"by,omitempty"`
	Replace bool      `json:"replace,omitempty"` // a host that is in the fleet may be replaced
}

// An Invitation is one to be made.
type Invitation struct {
	Hosts   string        // pattern for their ids: "vda-*"
	For     time.Duration // how long it is good
	By      string        // who made it
	Replace bool          // a host that has lost its key may come again
}

// Refused is an error that is its sender's fault.
type Refused struct{ Text string }

// Error implements error.
func (r *Refused) Error() string { return r.Text }

func refused(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// Invite makes a code that one host can enter with, once.
func (r *Registry) Invite(ctx context.Context, i Invitation) (enrol.Code, error) {
	if _, err := path.Match(i.Hosts, ""); err != nil || i.Hosts == "" {
		return enrol.Code{}, refused("%q isn't a pattern for hosts' ids, such as \"vda-*\"", i.Hosts)
	}
	if i.For < shortest || i.For > LongestInvitation {
		return enrol.Code{}, refused("an invitation is good for %v to %v, not %v", shortest, LongestInvitation, i.For)
	}
	kv, err := r.bucket(ctx)
	if err != nil {
		return enrol.Code{}, err
	}
	secret := rand.Text()
	value, err := json.Marshal(invitation{Hosts: strings.ToLower(i.Hosts), Until: time.Now().Add(i.For), By: i.By, Replace: i.Replace})
	if err != nil {
		return enrol.Code{}, err
	}
	if _, err := kv.Create(ctx, invitationKey(secret), value, jetstream.KeyTTL(i.For)); err != nil {
		return enrol.Code{}, err
	}
	return enrol.Code{Secret: secret, Pin: enrol.PinOf(r.CA)}, nil
}

// invitationKey keeps the secret itself out of the bucket.
func invitationKey(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return invitations + hex.EncodeToString(sum[:])
}

func (r *Registry) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := r.Conn.JS.KeyValue(ctx, fleet.FleetBucket)
	if err != nil {
		return nil, fmt.Errorf("the fleet's bucket: %w", err)
	}
	return kv, nil
}

// Enrol takes a host in that has come from an address. The error is a *[Refused] unless the bus is at fault.
func (r *Registry) Enrol(ctx context.Context, req enrol.Request, from string) (*enrol.Answer, error) {
	if err := fleet.CheckID(req.ID); err != nil {
		return nil, refused("%v", err)
	}
	if strings.EqualFold(req.ID, r.Reserved) {
		return nil, refused("%q is what the gate calls its own machine; take another id with --id", req.ID)
	}
	if len(req.Name) > 255 || strings.ContainsAny(req.Name, " /:@") {
		return nil, refused("%.80q isn't a host's name", req.Name)
	}
	if !req.Proven() {
		return nil, refused("the key isn't proven")
	}
	kv, err := r.bucket(ctx)
	if err != nil {
		return nil, err
	}
	inv, err := r.burn(ctx, kv, req)
	if err != nil {
		return nil, err
	}
	token, err := r.Keys.Host(req.ID, req.Key)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	record := fleet.Enrolled{ID: req.ID, Key: req.Key, JWT: token, Name: req.Name, Address: from, Since: now, By: inv.Hosts}
	if inv.By != "" {
		record.By += ", by " + inv.By
	}
	if err := r.write(ctx, kv, record, func(old fleet.Enrolled) bool { return inv.Replace || req.Succeeds(old.Key) }); err != nil {
		return nil, err
	}
	return &enrol.Answer{JWT: token, Fleet: []string{r.Keys.Fleet()}, Servers: r.Servers, CA: r.CA}, nil
}

// burn finds the invitation of a request and ends it: of those who come with the same, one gets it.
func (r *Registry) burn(ctx context.Context, kv jetstream.KeyValue, req enrol.Request) (*invitation, error) {
	none := refused("the code isn't known: it was used, its time is over, or it is mistyped; make another with shadowgate invite")
	e, err := kv.Get(ctx, invitationKey(req.Secret))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	var inv invitation
	if err := json.Unmarshal(e.Value(), &inv); err != nil {
		return nil, fmt.Errorf("an invitation can't be read: %w", err)
	}
	if time.Now().After(inv.Until) {
		return nil, none
	}
	if ok, err := path.Match(inv.Hosts, req.ID); err != nil || !ok {
		return nil, refused("the code is for hosts %q, and this one is %q", inv.Hosts, req.ID)
	}
	if err := kv.Delete(ctx, e.Key(), jetstream.LastRevision(e.Revision())); err != nil {
		if _, again := kv.Get(ctx, e.Key()); errors.Is(again, jetstream.ErrKeyNotFound) {
			return nil, none
		}
		return nil, err
	}
	return &inv, nil
}

// write writes a host's record. The keys that it had before are revoked. may is asked whether a host that is
// in the fleet may be replaced.
func (r *Registry) write(ctx context.Context, kv jetstream.KeyValue, record fleet.Enrolled, may func(old fleet.Enrolled) bool) error {
	old, revision, err := r.read(ctx, kv, record.ID)
	if err != nil && (revision == 0 || !may(fleet.Enrolled{})) {
		return err
	}
	if old != nil {
		if !old.Gone && !may(*old) {
			return refused("there is a host %q in the fleet already. From that host itself enrolling works; if its key is lost, make the code with shadowgate invite --replace, or show it out first with shadowgate hosts revoke %[1]s", record.ID)
		}
		record.Revoked = old.Revoked
		if !old.Gone {
			record.Revoked = append(record.Revoked, fleet.Revocation{Key: old.Key, At: time.Now()})
		}
	}
	return r.put(ctx, kv, record, revision)
}

// put writes a record over the revision that was read; 0: there was none.
func (r *Registry) put(ctx context.Context, kv jetstream.KeyValue, record fleet.Enrolled, revision uint64) error {
	value, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if revision == 0 {
		_, err = kv.Create(ctx, fleet.EnrolledKey(record.ID), value)
	} else {
		_, err = kv.Update(ctx, fleet.EnrolledKey(record.ID), value, revision)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", record.ID, err)
	}
	return nil
}

// read reads a host's record; nil: there is none. If there is one that the fleet's key doesn't vouch for, so that
// nothing can be built on it, the error is a *[Refused] and comes with its revision.
func (r *Registry) read(ctx context.Context, kv jetstream.KeyValue, id string) (*fleet.Enrolled, uint64, error) {
	e, err := kv.Get(ctx, fleet.EnrolledKey(id))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	record, err := fleet.OpenEnrolled(id, r.Keys.Fleet(), e.Value())
	if err != nil {
		return nil, e.Revision(), refused("what the fleet's list has of %q isn't believed: %v. Enrol that host again, with a code of shadowgate invite --replace; its key of before, if gates still know it, is revoked by that", id, err)
	}
	return record, e.Revision(), nil
}

// Revoke shows a host out: gates take nothing more from it, nor do servers in them. Servers elsewhere have to be told
// which keys it has had, of which the last is the one that it has.
func (r *Registry) Revoke(ctx context.Context, id string) ([]fleet.Revocation, error) {
	kv, err := r.bucket(ctx)
	if err != nil {
		return nil, err
	}
	record, revision, err := r.read(ctx, kv, id)
	if err != nil {
		return nil, err
	}
	if record == nil || record.Gone {
		return nil, refused("there is no host %q in the fleet", id)
	}
	record.Gone = true
	record.Revoked = append(record.Revoked, fleet.Revocation{Key: record.Key, At: time.Now()})
	return record.Revoked, r.put(ctx, kv, *record, revision)
}

// A Listed host is one of the fleet, and what it has said last.
type Listed struct {
	fleet.Enrolled
	Presence *fleet.Presence // nil: it isn't there
	Broken   bool            // the fleet's key doesn't vouch for its record, of which only the ID is known
}

// Hosts lists the fleet by id, with those that were shown out.
func (r *Registry) Hosts(ctx context.Context) ([]Listed, error) {
	kv, err := r.bucket(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := all(ctx, kv, fleet.EnrolledKey(">"))
	if err != nil {
		return nil, err
	}
	present, err := r.present(ctx)
	if err != nil {
		return nil, err
	}
	var list []Listed
	for _, e := range entries {
		id := strings.TrimPrefix(e.Key(), fleet.EnrolledKey(""))
		record, err := fleet.OpenEnrolled(id, r.Keys.Fleet(), e.Value())
		if err != nil {
			list = append(list, Listed{Enrolled: fleet.Enrolled{ID: id}, Broken: true})
			continue
		}
		one := Listed{Enrolled: *record}
		if value, there := present[one.ID]; there && !one.Gone {
			one.Presence, _ = fleet.OpenPresence(one.ID, one.Key, value) // one that isn't believed isn't there
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Listed) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// present is what hosts have said last, by id.
func (r *Registry) present(ctx context.Context) (map[string][]byte, error) {
	kv, err := r.Conn.JS.KeyValue(ctx, fleet.HostBucket)
	if err != nil {
		return nil, fmt.Errorf("the hosts' bucket: %w", err)
	}
	entries, err := all(ctx, kv, ">")
	if err != nil {
		return nil, err
	}
	list := map[string][]byte{}
	for _, e := range entries {
		list[e.Key()] = e.Value()
	}
	return list, nil
}

// all is what a bucket has under some keys.
func all(ctx context.Context, kv jetstream.KeyValue, keys string) ([]jetstream.KeyValueEntry, error) {
	w, err := kv.Watch(ctx, keys, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	var list []jetstream.KeyValueEntry
	for {
		select {
		case e, open := <-w.Updates():
			if !open {
				return nil, errors.New("the bus has ended the list")
			}
			if e == nil {
				return list, nil
			}
			list = append(list, e)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
