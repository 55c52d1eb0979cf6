package gate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
)

// heartbeat is the time between comments on a silent stream.
const heartbeat = 15 * time.Second

// mayList reports whether somebody may see a row.
func (g *Gate) mayList(s *signin.Session, row Row) bool {
	return g.Access.May(s.Person(), access.List, row.Host, row.User)
}

// listable are the hosts of which somebody may see a row.
func (g *Gate) listable(s *signin.Session) []hosts.Host {
	return slices.DeleteFunc(g.hub.list(), func(h hosts.Host) bool { return !g.Access.MayOn(s.Person(), access.List, h.Name()) })
}

func (g *Gate) listSessions(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	leave, ok := g.listing.take(s.Owner())
	if !ok {
		writeProblem(w, tooMany(time.Second, "there are too many requests for the list under way"))
		return
	}
	defer leave()
	var running sync.WaitGroup
	list := g.listable(s)
	for _, host := range list {
		running.Go(func() { _, _ = g.hub.fetch(r.Context(), host) }) // one that fails is seen in the hosts' states
	}
	running.Wait()
	writeJSON(w, http.StatusOK, RowList{g.rowsFor(s, g.hub.rowsOn(list))})
}

// rowsFor is what s may see of rows.
func (g *Gate) rowsFor(s *signin.Session, rows []Row) []Row {
	rows = slices.DeleteFunc(rows, func(row Row) bool { return !g.mayList(s, row) })
	for i := range rows {
		rows[i] = g.rowFor(s, rows[i])
	}
	return rows
}

// rowFor is a row as s sees it.
func (g *Gate) rowFor(s *signin.Session, row Row) Row {
	if row.Shadow != nil && g.views.isOf(row.Shadow.ID, row.Host, s) {
		own := *row.Shadow // others see the same row
		own.Mine = true
		row.Shadow = &own
	}
	return row
}

// watchSessions streams the list and its changes, or with "session" one row's. A slow browser gets
// fewer, later changes: what waits for it is which rows have changed, not how.
func (g *Gate) watchSessions(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	out, release, ok := g.stream(w, r, s)
	if !ok {
		return
	}
	defer release()
	watcher, leave := g.hub.join()
	defer leave()
	only := r.URL.Query().Get("session")
	rows := slices.DeleteFunc(g.hub.rowsOn(g.listable(s)), func(row Row) bool { return only != "" && row.key() != only })
	rows = g.rowsFor(s, rows)
	shown := map[string]struct{}{}
	for _, row := range rows {
		shown[row.key()] = struct{}{}
	}
	if !out.event("hosts", HostList{g.hostsFor(s)}) || !out.event("snapshot", RowList{rows}) {
		return
	}
	for out.wait(watcher.wake) {
		changed, gone, hostsChanged := g.hub.take(watcher)
		if hostsChanged && !out.event("hosts", HostList{g.hostsFor(s)}) {
			return
		}
		var see []Row
		for _, row := range changed {
			if only != "" && row.key() != only {
				continue
			}
			if g.mayList(s, row) {
				see = append(see, g.rowFor(s, row))
				shown[row.key()] = struct{}{}
			} else {
				gone = append(gone, row.key())
			}
		}
		gone = slices.DeleteFunc(gone, func(key string) bool {
			_, there := shown[key]
			delete(shown, key)
			return !there
		})
		if len(see) > 0 && !out.event("change", RowList{see}) || len(gone) > 0 && !out.event("gone", Gone{gone}) {
			return
		}
	}
}

// An sse is a stream of server-sent events to a browser.
type sse struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	done <-chan struct{} // the browser has gone, the session has ended, or the gate ends
	beat *time.Ticker
}

// stream begins a stream. release has to be called if it reports true; otherwise the request is
// answered.
func (g *Gate) stream(w http.ResponseWriter, r *http.Request, s *signin.Session) (_ *sse, release func(), ok bool) {
	leave, ok := g.streams.take(s.Owner())
	if !ok {
		writeProblem(w, tooMany(5*time.Second, "there are too many streams of events"))
		return nil, nil, false
	}
	ctx, free := g.hold(r.Context(), s)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	out := &sse{w: w, rc: http.NewResponseController(w), done: ctx.Done(), beat: time.NewTicker(heartbeat)}
	release = func() { out.beat.Stop(); free(); leave() }
	if r.Method == http.MethodHead || !out.send([]byte(": subscribed\n\n")) {
		release()
		return nil, nil, false
	}
	return out, release, true
}

// send reports whether the browser has taken b in time.
func (o *sse) send(b []byte) bool {
	_ = o.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := o.w.Write(b)
	ok := err == nil && o.rc.Flush() == nil
	_ = o.rc.SetWriteDeadline(time.Time{}) // over HTTP/2 it would end the stream later
	return ok
}

// event sends one event. JSON has no raw line breaks, so the data is one line.
func (o *sse) event(name string, v any) bool {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("gate: %T can't be written as JSON: %v", v, err)) // our own types: a programmer's mistake
	}
	return o.send(fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, data))
}

// wait waits for something on wake, and keeps the connection warm. It reports false at the end.
func (o *sse) wait(wake <-chan struct{}) bool {
	for {
		select {
		case <-wake:
			return true
		case <-o.beat.C:
			if !o.send([]byte(": alive\n\n")) {
				return false
			}
		case <-o.done:
			return false
		}
	}
}
