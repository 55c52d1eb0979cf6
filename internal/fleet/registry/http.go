package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"vda.internal/shadow/internal/api/reply"
	"vda.internal/shadow/internal/fleet"
	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/strangers"
)

const (
	maxBody   = 16 << 10 // bytes of a request
	maxAtOnce = 8        // enrolments under way
	bodyTime  = 10 * time.Second

	answerTime = 10 * time.Second // for the peer to take an answer
)

// Handler is what a gate has at [enrol.Path] and [enrol.CAPath].
func (r *Registry) Handler(logger zerolog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+enrol.CAPath, func(w http.ResponseWriter, _ *http.Request) {
		if r.CA == "" {
			problem(w, http.StatusNotFound, "this gate has no authorities of its own")
			return
		}
		w.Header().Set("Content-Type", "application/x-pem-file")
		_, _ = io.WriteString(w, r.CA)
	})
	d := &desk{Registry: r, logger: logger, room: make(chan struct{}, maxAtOnce)}
	mux.HandleFunc("POST "+enrol.Path, d.serve)
	return mux
}

// A desk is where hosts enrol.
type desk struct {
	*Registry
	logger zerolog.Logger
	noise  strangers.Noise // of those who aren't taken in, in the log
	room   chan struct{}   // tokens of enrolments under way
}

// serve takes a place only when the request is there: who sends it slowly keeps nobody out.
func (d *desk) serve(w http.ResponseWriter, req *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	var wish enrol.Request
	dec := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&wish); err != nil {
		problem(w, http.StatusBadRequest, "the request can't be read")
		return
	}
	select {
	case d.room <- struct{}{}:
		defer func() { <-d.room }()
	default:
		problem(w, http.StatusServiceUnavailable, "too many hosts enrol at once; try again in a moment")
		return
	}
	from := addressOf(req.RemoteAddr)
	answer, err := d.Enrol(req.Context(), wish, from)
	if refused, ok := errors.AsType[*Refused](err); ok {
		d.complain(zerolog.WarnLevel, wish, from).Str("why", refused.Text).Msg("a host was refused")
		problem(w, http.StatusForbidden, refused.Text)
		return
	}
	if err != nil {
		d.complain(zerolog.ErrorLevel, wish, from).Err(err).Msg("a host can't be taken in")
		problem(w, http.StatusServiceUnavailable, "the fleet's bus can't be reached; the gate's log says why")
		return
	}
	d.logger.Info().Str("host", wish.ID).Str("name", wish.Name).Str("from", from).Msg("a host has entered the fleet")
	reply.JSON(w, http.StatusOK, answer, answerTime)
}

// complain begins a line about who wishes to enter; nil, which writes none: there are too many of his.
func (d *desk) complain(level zerolog.Level, wish enrol.Request, from string) *zerolog.Event {
	a, _ := netip.ParseAddr(from)
	left, ok := d.noise.Pass(strangers.Network(a))
	if !ok {
		return nil
	}
	id := wish.ID
	if fleet.CheckID(id) != nil {
		id = fmt.Sprintf("%.80q", id)
	}
	e := d.logger.WithLevel(level).Str("host", id).Str("from", from)
	if left > 0 {
		e = e.Int("left_out", left)
	}
	return e
}

// addressOf is the IP address of whoever has sent a request; empty: it isn't known.
func addressOf(remote string) string {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	return a.Addr().Unmap().WithZone("").String()
}

// problem answers with an RFC 9457 problem.
func problem(w http.ResponseWriter, status int, detail string) {
	reply.Problem(w, reply.NewProblem(status, "%s", detail), answerTime)
}
