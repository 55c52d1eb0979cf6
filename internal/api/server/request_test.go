package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
)

// A monitor may be named in the address, too, but not another one than in the body.
func TestMonitorInTheAddress(t *testing.T) {
	asked := make(chan shadow.Request, 1)
	client, _ := serve(t, &fakeEngine{shadow: func(_ context.Context, r shadow.Request) (*shadow.Grant, error) {
		asked <- r
		return grant(), nil
	}}, Options{})
	for _, c := range []struct {
		query, body string
		want        string // "!": it is refused
	}{
		{"?monitor=2", "", "2"}, {"?monitor=DP-1", `,"monitor":"DP-1"`, "DP-1"}, {"?monitor=", `,"monitor":""`, ""},
		{"?monitor=2", `,"monitor":"1"`, "!"}, {"?monitor=1&monitor=2", "", "!"}, {"?monitor=%00", "", "!"}, {"?monitor=%ff", "", "!"},
	} {
		resp, body := do(t, client, "POST", "/v1/shadows"+c.query, "application/json", `{"session":"42","admin":"a"`+c.body+`}`)
		if c.want == "!" {
			assert.Equal(t, http.StatusBadRequest, resp.StatusCode, c.query)
			continue
		}
		require.Equal(t, http.StatusCreated, resp.StatusCode, body)
		assert.Equal(t, c.want, receive(t, asked).Monitor, c.query)
	}
}

func TestBadRequests(t *testing.T) {
	e := &fakeEngine{shadow: func(context.Context, shadow.Request) (*shadow.Grant, error) {
		panic("a bad request went through")
	}}
	client, _ := serve(t, e, Options{})
	long := strings.Repeat("x", 257)
	for _, test := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"empty", "", 400, "isn't valid JSON"},
		{"not JSON", "session=42", 400, "isn't valid JSON"},
		{"cut off", `{"session":"42","admin":"a"`, 400, "isn't valid JSON"},
		{"not an object", `["42"]`, 400, "isn't a JSON object"},
		{"null", `null`, 400, "isn't a JSON object"},
		{"two", `{"session":"42","admin":"a"}{}`, 400, "isn't valid JSON"},
		{"no session", `{"admin":"a"}`, 400, `"session" is missing or empty`},
		{"no admin", `{"session":"42"}`, 400, `"admin" is missing or empty`},
		{"blank admin", `{"session":"42","admin":" "}`, 400, `"admin" is missing or empty`},
		{"invisible admin", `{"session":"42","admin":"\u200b\u202e"}`, 400, `"admin" is missing or empty`},
		{"unknown", `{"session":"42","admin":"a","viewonly":"no"}`, 400, `"viewonly" is unknown`},
		{"case", `{"Session":"42","admin":"a"}`, 400, `"Session" is unknown`},
		{"twice", `{"session":"42","admin":"a","admin":"b"}`, 400, `"admin" is there twice`},
		{"number", `{"session":42,"admin":"a"}`, 400, `"session" isn't a string`},
		{"object", `{"session":{"id":"42"},"admin":"a"}`, 400, `"session" isn't a string`},
		{"client null", `{"session":"42","admin":"a","client":null}`, 400, `"client" isn't a string`},
		{"long", `{"session":"42","admin":"` + long + `"}`, 400, `"admin" has 257 bytes; 256 are allowed`},
		{"groups", `{"session":"42","admin":"a","groups":"b"}`, 400, `"groups" isn't a list of strings`},
		{"group", `{"session":"42","admin":"a","groups":["b",1]}`, 400, `"groups" isn't a list of strings`},
		{"empty group", `{"session":"42","admin":"a","groups":["b"," "]}`, 400, `"groups" has an empty name`},
		{"group's name", `{"session":"42","admin":"a","groups":["b\u0007"]}`, 400, `a name in "groups" has a control character`},
		{"groups twice", `{"session":"42","admin":"a","groups":[],"groups":["b"]}`, 400, `"groups" is there twice`},
		{"many groups", `{"session":"42","admin":"a","groups":["b"` + strings.Repeat(`,"b"`, 64) + `]}`, 400, `"groups" has 65 names`},
		{"long purpose", `{"session":"42","admin":"a","purpose":"` + strings.Repeat("é", 201) + `"}`, 400, `"purpose" has 201 characters`},
		{"long client", `{"session":"42","admin":"a","client":"` + long + `"}`, 400, `"client" has 257 bytes`},
		{"control", `{"session":"42","admin":"a\u001bb"}`, 400, `"admin" has a control character at byte 1`},
		{"C1 control", `{"session":"42","admin":"\u009b"}`, 400, `"admin" has a control character at byte 0`},
		{"not UTF-8", "{\"session\":\"42\",\"admin\":\"\xff\"}", 400, "isn't UTF-8"},
		{"big", `{"session":"42","admin":"` + strings.Repeat(" ", maxBody) + `"}`, 413, "more than 65536 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, body := do(t, client, "POST", "/v1/shadows", "application/json", test.body)
			p := requireProblem(t, resp, body)
			assert.Equal(t, test.status, p.Status)
			assert.Contains(t, p.Detail, test.want)
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"session":"42","admin":"CORP\\alice","client":"10.0.0.7","purpose":"INC-1234\n"}`))
	f.Add([]byte(`{"session":"42","admin":"a","admin":"b"}`))
	f.Add([]byte(`{"session":"\ud800","admin":"\u0000"}`))
	f.Add([]byte(`{"a":[{}],"session":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ParseRequest(body)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		for _, s := range []string{r.Session, r.Admin, r.Client} {
			require.NoError(t, checkName(s))
		}
		require.NotEmpty(t, r.Session)
		require.NotEmpty(t, r.Admin)
		again, err := json.Marshal(r)
		require.NoError(t, err)
		back, err := ParseRequest(bytes.TrimSpace(again))
		require.NoError(t, err)
		require.Equal(t, r, back)
	})
}
