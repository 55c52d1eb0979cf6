package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/api/reply"
)

// maxName is how many bytes a name in a request may have.
const maxName = 256

// maxGroups is how many groups a caller may state.
const maxGroups = 64

// maxPurpose is the longest reason in characters: what users are shown of one.
const maxPurpose = 200

// readRequest reads the body of POST /v1/shadows.
func readRequest(w http.ResponseWriter, r *http.Request) (api.Request, *api.Problem) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return api.Request{}, reply.NewProblem(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", maxBody)
	}
	if err != nil {
		return api.Request{}, reply.NewProblem(http.StatusBadRequest, "the body could not be read: %v", err)
	}
	req, err := ParseRequest(body)
	if err == nil {
		err = chooseMonitor(&req, r.URL.Query()["monitor"])
	}
	if err != nil {
		return api.Request{}, reply.NewProblem(http.StatusBadRequest, "%v", err)
	}
	return req, nil
}

// chooseMonitor has the address name the monitor: ?monitor=2, as "monitor" in the body does.
func chooseMonitor(req *api.Request, named []string) error {
	if len(named) == 0 {
		return nil
	}
	if len(named) > 1 || req.Monitor != "" && req.Monitor != named[0] {
		return errors.New("the request names two monitors")
	}
	if err := checkName(named[0]); err != nil || !utf8.ValidString(named[0]) {
		return errors.New("the address names no monitor")
	}
	req.Monitor = named[0]
	return nil
}

// chooseAccount has the address of a test name the account that asks: ?account=gate:gate1. Who may ask that may read all
// rules anyway; a request that does something is its caller's own.
func chooseAccount(req *shadow.Request, named []string) error {
	if len(named) == 0 {
		return nil
	}
	if err := checkName(named[0]); len(named) > 1 || err != nil || !utf8.ValidString(named[0]) || strings.TrimSpace(named[0]) == "" {
		return errors.New("the address names no account, or several")
	}
	req.Account = named[0]
	return nil
}

// ParseRequest reads a request strictly: one object with exactly the known
// members, each at most once, each a clean string. encoding/json by itself
// would take names in any case, the last of several, and broken UTF-8.
func ParseRequest(body []byte) (api.Request, error) {
	var req api.Request
	if !utf8.Valid(body) {
		return req, errors.New("the body isn't UTF-8")
	}
	if err := json.Unmarshal(body, new(json.RawMessage)); err != nil {
		return req, fmt.Errorf("the body isn't valid JSON: %v", err)
	}
	fields := map[string]*string{"session": &req.Session, "admin": &req.Admin, "client": &req.Client, "purpose": &req.Purpose, "monitor": &req.Monitor, "user": &req.User, "owner": &req.Owner}
	seen := map[string]bool{}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return req, errors.New(`the body isn't a JSON object: {"session": ID, "admin": NAME, "client": ADDRESS, "purpose": WHY, "monitor": NUMBER_OR_NAME, "groups": [NAME], "user": ACCOUNT, "owner": ID}`)
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return req, err
		}
		name, _ := t.(string)
		dst, ok := fields[name]
		if !ok && name != "groups" {
			return req, fmt.Errorf("%q is unknown: there are session, admin, client, purpose, monitor, groups, user and owner", cut(name))
		}
		if seen[name] {
			return req, fmt.Errorf("%q is there twice", name)
		}
		seen[name] = true
		if name == "groups" {
			if req.Groups, err = readGroups(dec); err != nil {
				return req, err
			}
			continue
		}
		if t, err = dec.Token(); err != nil {
			return req, err
		}
		if *dst, ok = t.(string); !ok {
			return req, fmt.Errorf("%q isn't a string", name)
		}
		check := checkName
		if name == "purpose" {
			check = checkPurpose
		}
		if err := check(*dst); err != nil {
			return req, fmt.Errorf("%q %v", name, err)
		}
	}
	for _, name := range []string{"session", "admin"} {
		if strings.TrimSpace(*fields[name]) == "" || name == "admin" && consent.CleanName(req.Admin) == "" {
			return req, fmt.Errorf("%q is missing or empty", name)
		}
	}
	return req, nil
}

// checkName says what is wrong with a name from outside.
func checkName(s string) error {
	if len(s) > maxName {
		return fmt.Errorf("has %d bytes; %d are allowed", len(s), maxName)
	}
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		return fmt.Errorf("has a control character at byte %d", i)
	}
	return nil
}

// readGroups reads the groups that a caller states.
func readGroups(dec *json.Decoder) ([]string, error) {
	var groups []string
	if err := dec.Decode(&groups); err != nil {
		return nil, errors.New(`"groups" isn't a list of strings`)
	}
	if len(groups) > maxGroups {
		return nil, fmt.Errorf(`"groups" has %d names; %d are allowed`, len(groups), maxGroups)
	}
	for _, g := range groups {
		if strings.TrimSpace(g) == "" {
			return nil, errors.New(`"groups" has an empty name`)
		}
		if err := checkName(g); err != nil {
			return nil, fmt.Errorf(`a name in "groups" %v`, err)
		}
	}
	return groups, nil
}

// checkPurpose bounds what may come of a ticket's text. Line breaks are no harm: it is cleaned.
func checkPurpose(s string) error {
	if n := utf8.RuneCountInString(s); n > maxPurpose {
		return fmt.Errorf("has %d characters; %d are allowed", n, maxPurpose)
	}
	return nil
}

// cut keeps an error message short.
func cut(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
