package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"vda.internal/shadow/internal/version"
)

// maxAnswer bounds an API's answer.
const maxAnswer = 64 << 10

// An api is a web service that is asked about each token.
type api struct {
	before, after string // of the URL, round the token
	parse         func([]byte) (Target, error)
}

// newAPI takes a URL with one %s where the token goes; %% stands for %.
func newAPI(source string, parse func([]byte) (Target, error)) (Source, error) {
	before, after, ok := strings.Cut(source, "%s")
	if !ok || strings.Contains(after, "%s") {
		return nil, errors.New("--token-source must be a URL with one %s in it, where the token goes")
	}
	a := &api{strings.ReplaceAll(before, "%%", "%"), strings.ReplaceAll(after, "%%", "%"), parse}
	if u, err := url.Parse(a.before + "token" + a.after); err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q isn't an http or https URL", source)
	}
	return a, nil
}

// Lookup implements Source. Any status but 2xx means that the token is
// unknown, but for 5xx, which means that the service has failed.
func (a *api) Lookup(ctx context.Context, token string) (Target, error) {
	if token == "." || token == ".." {
		return Target{}, ErrUnknown // would be a path of the service's own
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.before+escape(token)+a.after, nil)
	if err != nil {
		return Target{}, err
	}
	r.Header.Set("User-Agent", "websockify/"+version.String())
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return Target{}, fmt.Errorf("API: %w", withoutURL(err))
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode >= 500:
		return Target{}, fmt.Errorf("API: %s", answer.Status)
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		return Target{}, ErrUnknown
	}
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return Target{}, fmt.Errorf("API: %w", withoutURL(err))
	}
	t, err := a.parse(b)
	if err != nil {
		return Target{}, fmt.Errorf("API's answer: %w", err)
	}
	return t, nil
}

// escape encodes whatever has a meaning in a path or in a query.
func escape(token string) string {
	return strings.ReplaceAll(url.QueryEscape(token), "+", "%20")
}

// withoutURL takes the URL, which has the token in it, out of an error.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func parseText(b []byte) (Target, error) { return ParseTarget(string(b)) }

// parseJSON reads {"host": …, "port": …}, where the port may be a number, with or without
// {"user": …, "password": …}.
func parseJSON(b []byte) (Target, error) {
	var v struct {
		Host string          `json:"host"`
		Port json.RawMessage `json:"port"`

		User     string `json:"user"`
		Password string `json:"password"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return Target{}, err
	}
	port := strings.Trim(string(v.Port), `"`)
	if v.Host == "" || port == "" || port == "null" {
		return Target{}, errors.New("no host or no port")
	}
	if v.Host == "unix_socket" {
		return Target{Unix: port, User: v.User, Password: v.Password}, nil
	}
	return Target{Host: v.Host, Port: port, User: v.User, Password: v.Password}, nil
}
