package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// ErrUnreachable means that the daemon isn't there, may not be spoken to, or
// went away before it answered.
var ErrUnreachable = errors.New("shadowd is not reachable")

const (
	dialTimeout = 5 * time.Second
	maxAnswer   = 16 << 20 // bytes of an answer
)

// A Client speaks to shadowd. Its zero value speaks to the usual socket. Every
// call makes a connection of its own, and ends with its context. Errors are
// a *[Problem] where the daemon answered and [ErrUnreachable] where it didn't.
type Client struct {
	Socket string // path of the control socket; empty: DefaultSocket
}

// Shadow asks for a session to be shadowed and returns when its user has
// answered. If ctx ends first the question is taken back.
func (c Client) Shadow(ctx context.Context, r Request) (*Grant, error) {
	grant := new(Grant)
	if err := c.call(ctx, http.MethodPost, "/v1/shadows", r, grant); err != nil {
		return nil, err
	}
	return grant, nil
}

// List lists the shadows that have not ended.
func (c Client) List(ctx context.Context) ([]Status, error) {
	var list ShadowList
	err := c.call(ctx, http.MethodGet, "/v1/shadows", nil, &list)
	return list.Shadows, err
}

// Get is one shadow. If it isn't there, or has ended, the error is a *Problem
// with Status 404.
func (c Client) Get(ctx context.Context, id string) (*Status, error) {
	status := new(Status)
	if err := c.call(ctx, http.MethodGet, "/v1/shadows/"+url.PathEscape(id), nil, status); err != nil {
		return nil, err
	}
	return status, nil
}

// Stop ends a shadow, and returns when it has ended. If it isn't there the
// error is a *Problem with Status 404.
func (c Client) Stop(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/shadows/"+url.PathEscape(id), nil, nil)
}

// Sessions lists the host's sessions, with why one can't be shadowed.
func (c Client) Sessions(ctx context.Context) ([]Session, error) {
	var list SessionList
	err := c.call(ctx, http.MethodGet, "/v1/sessions", nil, &list)
	return list.Sessions, err
}

// RuleList is the organisation's rules, with the terms if shadowd says them.
func (c Client) RuleList(ctx context.Context) (RuleList, error) {
	var list RuleList
	err := c.call(ctx, http.MethodGet, "/v1/rules", nil, &list)
	return list, err
}

// Rules lists the organisation's rules.
func (c Client) Rules(ctx context.Context) ([]Rule, error) {
	list, err := c.RuleList(ctx)
	return list.Rules, err
}

// Terms are what to know before asking. What an older shadowd doesn't say is empty.
func (c Client) Terms(ctx context.Context) (Terms, error) {
	list, err := c.RuleList(ctx)
	if err != nil || list.Terms == nil {
		return Terms{}, err
	}
	return *list.Terms, nil
}

// TestRules says which rule would decide about a request, and does nothing.
func (c Client) TestRules(ctx context.Context, r Request) (*Verdict, error) {
	return c.TestRulesFor(ctx, r, "")
}

// TestRulesFor is TestRules for a request of another account, or of a fleet's gate: "gate:gate1". Empty: of the
// account that calls.
func (c Client) TestRulesFor(ctx context.Context, r Request, account string) (*Verdict, error) {
	path := "/v1/rules/test"
	if account != "" {
		path += "?" + url.Values{"account": {account}}.Encode()
	}
	v := new(Verdict)
	if err := c.call(ctx, http.MethodPost, path, r, v); err != nil {
		return nil, err
	}
	return v, nil
}

// A Health is what the daemon tells of itself.
type Health struct {
	Config string // fingerprint of the configuration that it was started with; empty if it reports none
	Audit  string // why the audit can't be written; empty: nothing is wrong
}

// Health asks the daemon how it is.
func (c Client) Health(ctx context.Context) (Health, error) {
	resp, err := c.do(ctx, http.MethodGet, "/healthz", nil)
	if err != nil {
		return Health{}, err
	}
	_ = resp.Body.Close()
	return Health{Config: resp.Header.Get(ConfigHeader), Audit: resp.Header.Get(AuditHeader)}, nil
}

// call sends body, if it isn't nil, and reads the answer into result, likewise.
func (c Client) call(ctx context.Context, method, path string, body, result any) error {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if result == nil {
		return nil
	}
	data, err := readAnswer(resp.Body)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if err := json.Unmarshal(data, result); err != nil {
		return fmt.Errorf("shadowd's answer to %s %s can't be read: %w", method, path, err)
	}
	return nil
}

// do sends a request. The answer is a success; its body is the caller's to close.
func (c Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://shadowd"+path, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	transport := &http.Transport{DialContext: c.dial, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, readProblem(resp)
	}
	return resp, nil
}

func (c Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, "unix", c.socket())
}

func (c Client) socket() string {
	if c.Socket == "" {
		return DefaultSocket
	}
	return c.Socket
}

// unreachable explains why there was no answer. A caller that gave up knows
// that itself.
func (c Client) unreachable(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: you may not use %s: be root or in the group that control.group names", ErrUnreachable, c.socket())
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no socket %s; is shadowd running?", ErrUnreachable, c.socket())
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody answers on %s (%w); is shadowd running?", ErrUnreachable, c.socket(), syscall.ECONNREFUSED)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ended the connection before it answered", ErrUnreachable)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// readProblem makes an error of an answer that isn't a success.
func readProblem(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	data, err := readAnswer(resp.Body)
	p := new(Problem)
	if err != nil || kind != "application/problem+json" || json.Unmarshal(data, p) != nil || p.Title == "" {
		return fmt.Errorf("the answer was %s, without a reason; is it shadowd that listens there?", resp.Status)
	}
	p.Status = resp.StatusCode
	return p
}

// readAnswer reads a body of bounded size.
func readAnswer(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return data, err
}
