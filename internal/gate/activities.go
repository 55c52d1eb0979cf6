package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/activity"
	"vda.internal/shadow/internal/gate/signin"
)

const (
	defaultPage = 100     // events of an answer
	maxPage     = 1000    // that may be asked for
	maxDownload = 200_000 // events of a file, which says so in a last line if there are more
)

func noAudit() *api.Problem {
	return refusal(http.StatusForbidden, shadow.NotAllowed, "the gate's access table doesn't let you read what happened")
}

// listActivity is what happened, as far as s may know: a page of it, or all of it as a file.
func (g *Gate) listActivity(w http.ResponseWriter, r *http.Request, s *signin.Session) {
	if !g.Access.MayAnywhere(s.Person(), access.Audit) {
		g.refuse(w, r, s, noAudit())
		return
	}
	q, limit, format, p := readQuery(r.URL.Query())
	if p != nil {
		writeProblem(w, p)
		return
	}
	ctx, release, p := g.read(r, s)
	if p != nil {
		writeProblem(w, p)
		return
	}
	defer release()
	q.Allow = func(host, user string) bool { return g.mayRead(s, host, user) }
	switch format {
	case "csv", "jsonl":
		g.download(ctx, w, r, q, format)
		return
	}
	list := HappeningList{Events: []Happening{}}
	last := ""
	begun := time.Now()
	q.Progress = func(cursor string) bool { // what there is may take long to go through, and others wait for a place
		if time.Since(begun) >= g.longestSearch {
			list.Next = cursor
			return false
		}
		return true
	}
	err := g.each(ctx, q, func(rec activity.Record) bool {
		if len(list.Events) == limit { // there is one more
			list.Next = last
			return false
		}
		last = rec.Cursor
		list.Events = append(list.Events, Happening{rec.Event, rec.Host})
		return true
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		writeProblem(w, activityProblem(err))
		return
	}
	writeJSON(w, http.StatusOK, list)
}

// each goes through what is kept; without a store that is nothing.
func (g *Gate) each(ctx context.Context, q activity.Query, f func(activity.Record) bool) error {
	if g.Activity == nil {
		return nil
	}
	return g.Activity.Each(ctx, q, f)
}

func activityProblem(err error) *api.Problem {
	if errors.Is(err, activity.ErrCursor) {
		return problem(http.StatusBadRequest, `"before" isn't what "next" was`)
	}
	if errors.Is(err, errCrowded) {
		return tooMany(5*time.Second, "others wait to read the activity")
	}
	if errors.Is(err, errSignedOut) || errors.Is(err, context.Canceled) {
		return refusal(http.StatusUnauthorized, reasonSignIn, "")
	}
	return problem(http.StatusInternalServerError, "what is kept can't be read; the gate's log says why")
}

// download writes a file, without holding it in memory.
func (g *Gate) download(ctx context.Context, w http.ResponseWriter, r *http.Request, q activity.Query, format string) {
	kind := map[string]string{"csv": "text/csv; charset=utf-8; header=present", "jsonl": "application/jsonl"}[format]
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="activity-%s.%s"`, time.Now().UTC().Format("20060102-150405"), format))
	rc := http.NewResponseController(w)
	n := 0
	each := func(write func(activity.Record) bool) error {
		return g.each(ctx, q, func(rec activity.Record) bool {
			_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
			if n++; n > g.mostDownload { // there is one more
				write(activity.Record{Event: shadow.Event{
					Time: rec.Time, Type: "more", Detail: fmt.Sprintf("the file ends here, after %d events; ask for what was before this time", g.mostDownload),
				}})
				return false
			}
			return ctx.Err() == nil && write(rec)
		})
	}
	var err error
	if format == "csv" {
		err = activity.WriteCSV(w, each)
	} else {
		out := json.NewEncoder(w)
		err = each(func(rec activity.Record) bool { return out.Encode(Happening{rec.Event, rec.Host}) == nil })
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil && r.Context().Err() == nil {
		g.Logger.Warn().Err(err).Msg("a download of the activity ended early")
		panic(http.ErrAbortHandler) // half a file must not look like a whole one
	}
}

// readQuery reads what is wanted.
func readQuery(v url.Values) (q activity.Query, limit int, format string, p *api.Problem) {
	for name, values := range v {
		if !slices.Contains([]string{"since", "until", "admin", "user", "host", "type", "shadow", "q", "limit", "before", "format"}, name) {
			return q, 0, "", problem(http.StatusBadRequest, "%.40q is unknown", name)
		}
		if len(values) > 1 || len(values[0]) > 256 {
			return q, 0, "", problem(http.StatusBadRequest, "%q is there twice, or too long", name)
		}
	}
	q = activity.Query{Admin: v.Get("admin"), User: v.Get("user"), Host: v.Get("host"), Type: v.Get("type"), Shadow: v.Get("shadow"), Text: v.Get("q"), Before: v.Get("before")}
	for name, dst := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if s := v.Get(name); s != "" {
			t, err := time.Parse(time.RFC3339, s)
			if err != nil {
				return q, 0, "", problem(http.StatusBadRequest, `%q isn't a time such as "2026-11-30T12:00:00Z"`, name)
			}
			*dst = t
		}
	}
	limit = defaultPage
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPage {
			return q, 0, "", problem(http.StatusBadRequest, `"limit" isn't a number from 1 to %d`, maxPage)
		}
		limit = n
	}
	format = v.Get("format")
	if format != "" && format != "json" && format != "csv" && format != "jsonl" {
		return q, 0, "", problem(http.StatusBadRequest, `"format" isn't "json", "csv" or "jsonl"`)
	}
	return q, limit, format, nil
}
