package shadow

// A Reason says why a request was refused or why a shadow ended. It is one
// vocabulary for the control API, the audit lines, the metrics, the WebSocket
// close reason and the exit message of shadowctl.
type Reason string

// The reasons. Those up to [SourceFailed] refuse a request; the others end a
// shadow that was granted. [Disabled], [PromptFailed], [DisplayUnreachable],
// [SourceFailed], [SessionEnded], [StoppedByAdmin] and [Shutdown] do both.
const (
	Disabled           Reason = "disabled"            // EnableSessionShadowing is 0, or the settings can't be read
	PurposeMissing     Reason = "purpose_missing"     // the administrator gave no reason, or none that fits
	NotAllowed         Reason = "not_allowed"         // a rule of the organisation says so
	Denied             Reason = "denied"              // the user said No
	TimedOut           Reason = "timeout"             // the user said nothing in time
	Closed             Reason = "closed"              // the user closed the question
	Locked             Reason = "locked"              // the session is locked: nobody there to ask
	NoUser             Reason = "no_user"             // nobody is logged on (a greeter, for example)
	NoSession          Reason = "no_session"          // no such session
	Wayland            Reason = "wayland"             // the session isn't an X11 session
	PromptBusy         Reason = "prompt_busy"         // the user is being asked already, has just said No to the same administrator, or that one asks too often
	PromptFailed       Reason = "prompt_failed"       // the question, or the banner, could not be put
	DisplayUnreachable Reason = "display_unreachable" // the session's X server could not be reached
	NoPort             Reason = "no_port"             // no port left in the range
	TLSConfig          Reason = "tls_config"          // ShadowingUseSSL is 1 and the certificate can't be used
	AuditFailed        Reason = "audit_failed"        // the request could not be recorded
	SourceFailed       Reason = "source_failed"       // the RFB source is missing, or failed

	Superseded      Reason = "superseded"       // another administrator was granted the session
	SessionEnded    Reason = "session_ended"    // the X session ended
	ViewerAbsent    Reason = "viewer_absent"    // nobody connected to the granted port in time
	ViewerLeft      Reason = "viewer_left"      // the viewer disconnected
	ViewerViolation Reason = "viewer_violation" // the viewer broke the protocol or the view-only rules
	StoppedByUser   Reason = "stopped_by_user"  // the user stopped it
	StoppedByAdmin  Reason = "stopped_by_admin" // an administrator stopped it, or gave up waiting
	Shutdown        Reason = "shutdown"         // the daemon is going down
)

// Reasons lists every reason, in the order of the constants.
func Reasons() []Reason {
	return []Reason{
		Disabled, PurposeMissing, NotAllowed, Denied, TimedOut, Closed, Locked, NoUser, NoSession, Wayland, PromptBusy, PromptFailed,
		DisplayUnreachable, NoPort, TLSConfig, AuditFailed, SourceFailed,
		Superseded, SessionEnded, ViewerAbsent, ViewerLeft, ViewerViolation, StoppedByUser, StoppedByAdmin, Shutdown,
	}
}

// sentences are the words for people, one a reason.
var sentences = map[Reason]string{
	Disabled:           "session shadowing is switched off on this host",
	PurposeMissing:     "a reason for the viewing has to be given",
	NotAllowed:         "the organisation's rules don't allow it",
	Denied:             "the user said No",
	TimedOut:           "the user did not answer in time",
	Closed:             "the user closed the question",
	Locked:             "the session is locked, so its user can't be asked",
	NoUser:             "nobody is logged on to the session",
	NoSession:          "there is no such session",
	Wayland:            "the session isn't an X11 session",
	PromptBusy:         "the user can't be asked now",
	PromptFailed:       "the user could not be asked",
	DisplayUnreachable: "the session's display could not be reached",
	NoPort:             "no port is left for another viewer",
	TLSConfig:          "the certificate for wss can't be used",
	AuditFailed:        "the request can't be recorded, so it isn't granted",
	SourceFailed:       "the session's screen cannot be captured",
	Superseded:         "another administrator was granted the session",
	SessionEnded:       "the session ended",
	ViewerAbsent:       "no viewer connected in time",
	ViewerLeft:         "the viewer disconnected",
	ViewerViolation:    "the viewer sent something that isn't allowed",
	StoppedByUser:      "the user stopped it",
	StoppedByAdmin:     "an administrator stopped it",
	Shutdown:           "the shadowing service is going down",
}

// Sentence is the reason in words, lower case and without a full stop.
func (r Reason) Sentence() string {
	if s, ok := sentences[r]; ok {
		return s
	}
	return string(r)
}
