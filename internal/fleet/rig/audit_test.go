package rig_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/gate"
)

// right waits until each of the gates lists the hosts that are there, with their sessions, and no others.
func (r *rig) right(t *testing.T, gates []string, hosts ...string) {
	t.Helper()
	for _, name := range gates {
		var last []string
		took := r.until(t, name+" lists what there is", func(ctx context.Context) bool {
			last = r.listed(ctx, name)
			return slices.Equal(last, hosts)
		})
		t.Logf("%s lists %v after %v", name, last, took)
	}
}

// listed is which hosts a gate lists as being there, with their sessions, in order; nil: it can't say.
func (r *rig) listed(ctx context.Context, name string) (list []string) {
	c := r.at(name)
	var hosts gate.HostList
	var rows gate.RowList
	for path, to := range map[string]any{"hosts": &hosts, "sessions": &rows} {
		resp, err := c.Send(ctx, http.MethodGet, "/api/v1/"+path, nil)
		if err != nil {
			return nil
		}
		err = json.NewDecoder(resp.Body).Decode(to)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return nil
		}
	}
	list = []string{}
	for _, h := range hosts.Hosts {
		has := slices.ContainsFunc(rows.Sessions, func(row gate.Row) bool { return row.Host == h.ID && row.ID == "s1" })
		if h.State == "up" && has {
			list = append(list, h.ID)
		} else if has {
			list = append(list, h.ID+" (down, with sessions)")
		}
	}
	slices.Sort(list)
	return list
}

// audited waits until gates know each line of each host's own audit, and requires that they know none twice, and none
// besides.
func (r *rig) audited(t *testing.T, gates ...string) (lines int) {
	t.Helper()
	for _, host := range r.hosts() {
		for _, name := range gates {
			lines += r.auditedAt(t, name, host)
		}
	}
	return lines / len(gates)
}

func (r *rig) auditedAt(t *testing.T, name, host string) int {
	t.Helper()
	own := map[string]int{}
	known := map[string]int{}
	c := r.at(name)
	r.until(t, name+" knows what "+host+" has audited", func(ctx context.Context) bool {
		clear(own)
		f, err := os.Open(filepath.Join(r.folder(host), "audit.log"))
		require.NoError(t, err)
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			own[lineOf(t, lines.Bytes())]++
		}
		clear(known)
		for next := ""; ; {
			var list struct {
				Events []json.RawMessage
				Next   string
			}
			resp, err := c.Send(ctx, http.MethodGet, "/api/v1/activity?limit=500&host="+host+"&before="+next, nil)
			if err != nil {
				return false
			}
			err = json.NewDecoder(resp.Body).Decode(&list)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK { // the buses may be choosing who leads
				return false
			}
			for _, e := range list.Events {
				known[lineOf(t, e)]++
			}
			if next = list.Next; next == "" {
				break
			}
		}
		for line := range own {
			if known[line] == 0 {
				return false
			}
		}
		return true
	})
	for line, n := range known {
		require.Equal(t, own[line], n, "%s: %s knows %d times of %s", host, name, n, line)
	}
	return len(own)
}

// happened waits until a gate's activity has an event of a host's, of that kind and with that reason.
func (r *rig) happened(t *testing.T, name, host, id, kind string) (reason string) {
	t.Helper()
	r.until(t, host+" has told that "+id+" has "+kind, func(ctx context.Context) bool {
		var list gate.HappeningList
		resp, err := r.at(name).Send(ctx, http.MethodGet, "/api/v1/activity?limit=100&host="+host, nil)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		if json.NewDecoder(resp.Body).Decode(&list) != nil {
			return false
		}
		for _, e := range list.Events {
			if e.ID == id && string(e.Type) == kind {
				reason = string(e.Reason)
				return true
			}
		}
		return false
	})
	return reason
}

// lineOf is what an event is known by.
func lineOf(t *testing.T, data []byte) string {
	t.Helper()
	var e struct{ ID, Type, Time string }
	require.NoError(t, json.Unmarshal(data, &e))
	return e.ID + " " + e.Type + " " + e.Time
}
