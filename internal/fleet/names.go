package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Names on the bus. What a gate asks of the host ID has the subject shadow.v1.host.ID.KIND.
const (
	hostSubjects  = "shadow.v1.host."
	auditSubjects = "shadow.v1.audit."
	keptSubjects  = "shadow.v1.kept."

	// AuditStream is the stream of the hosts' audits, whose subjects are AuditFilter.
	AuditStream = "SHADOW_AUDIT"
	AuditFilter = auditSubjects + "*"

	// HostBucket has the presence of each host that is there, by its id. A key lives for PresenceTTL.
	HostBucket = "SHADOW_HOSTS"

	// FleetBucket has what lasts: which hosts are enrolled ([EnrolledKey]), invitations, and which views were stopped whose
	// hosts couldn't be told ([StoppedKey]), and what gates tell each other of sign-ins ([SignInKey]).
	FleetBucket = "SHADOW_FLEET"

	// Service is the NATS micro service that every host is.
	Service = "shadowd"
)

// PresenceTTL is for how long a host that says nothing counts as there.
const PresenceTTL = 30 * time.Second

// PresenceEvery is the time between two words of a host with which nothing happens.
const PresenceEvery = 10 * time.Second

// A Kind is what a gate asks of a host.
type Kind string

// The kinds. Await says that somebody still waits for the answer of an earlier Shadow, and asks for it. Judge
// asks what the host's rules would say to a Shadow.
const (
	Sessions Kind = "sessions"
	Shadow   Kind = "shadow"
	Stop     Kind = "stop"
	List     Kind = "list"
	Await    Kind = "await"
	Dial     Kind = "dial" // a granted view is to be carried to the gate; see package dialout
	Judge    Kind = "judge"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Sessions, Shadow, Stop, List, Await, Dial, Judge} }

// Subject is where the host id hears what a gate asks of it.
func Subject(id string, k Kind) string { return hostSubjects + id + "." + string(k) }

// HostFilter matches all subjects of the host id; "*" is every host.
func HostFilter(id string) string { return hostSubjects + id + ".>" }

// AuditSubject is where the host id publishes its audit.
func AuditSubject(id string) string { return auditSubjects + id }

// AuditHost is the host whose audit a subject is; empty: it is none.
func AuditHost(subject string) string {
	id, ok := strings.CutPrefix(subject, auditSubjects)
	if !ok || CheckID(strings.ToLower(id)) != nil {
		return ""
	}
	return id
}

// PresenceSubject is where the host id publishes its presence, and under which [HostBucket] has it.
func PresenceSubject(id string) string { return "$KV." + HostBucket + "." + id }

// KeptAudit and KeptPresence are where gates publish, for the streams, what the host id has published at AuditSubject
// and PresenceSubject. Hosts publish into no stream themselves: who does names the subject at which the server answers,
// with rights of its own, and that may be another host's.
func KeptAudit(id string) string    { return keptSubjects + "audit." + id }
func KeptPresence(id string) string { return keptSubjects + "presence." + id }

// Kept is where a gate publishes for the streams what was published on a subject, and whose it is; empty: it is nothing
// that a host says.
func Kept(subject string) (to, id string) {
	if id, ok := strings.CutPrefix(subject, PresenceSubject("")); ok && CheckID(strings.ToLower(id)) == nil {
		return KeptPresence(id), id
	}
	if id := AuditHost(subject); id != "" {
		return KeptAudit(id), id
	}
	return "", ""
}

// EnrolledKey is the key of the host id in [FleetBucket].
func EnrolledKey(id string) string { return "host." + id }

// StoppedKey is the key in [FleetBucket] of a view that no gate is to carry any more, a [Stopped]. AnyStopped matches all.
func StoppedKey(host, id string) string {
	sum := sha256.Sum256([]byte(id)) // ids are the hosts' own
	return stoppedKeys + host + "." + hex.EncodeToString(sum[:16])
}

// HostInbox and GateInbox are the prefixes of the subjects on which a host, by its id, and a gate, by its
// public key, get answers. Nobody else may subscribe to them.
func HostInbox(id string) string  { return "_INBOX.host." + id }
func GateInbox(key string) string { return "_INBOX.gate." + key }

const (
	stoppedKeys = "stopped."
	AnyStopped  = stoppedKeys + ">"
	signInKeys  = "signin."
	AnySignIn   = signInKeys + ">"
)

// SignInKey is the key in [FleetBucket] of what gates that share the keys of cookies tell each other of a sign-in. AnySignIn
// matches all.
func SignInKey(key string) string { return signInKeys + key }

// IsSignInKey reports whether a key is one of those.
func IsSignInKey(key string) bool { return strings.HasPrefix(key, signInKeys) }

const maxID = 63 // bytes, as of a label in DNS

// CheckID says what is wrong with a host's id, which is a label as in DNS, in lower case: letters, digits and
// hyphens. Names that differ in case only would be the same to the gates' access tables.
func CheckID(id string) error {
	bad := strings.ContainsFunc(id, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
	if id == "" || len(id) > maxID || bad || strings.Trim(id, "-") != id {
		return fmt.Errorf("%.80q isn't a host's id: lower-case letters, digits and hyphens, at most %d, such as \"vda-17\"", id, maxID)
	}
	return nil
}
