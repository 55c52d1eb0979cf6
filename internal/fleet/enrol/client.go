package enrol

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"vda.internal/shadow/internal/version"
)

const (
	maxAnswer   = 1 << 20 // bytes
	requestTime = 30 * time.Second
)

// A Host is who enters.
type Host struct {
	ID   string // a label as in DNS
	Name string // FQDN, where gates find its ports; empty: the address that it comes from

	Before *Credentials // that it has from before, if its ID is in the fleet already; nil: none
}

// Enroll makes a key, proves it to the gate at an https address, and returns what the host has then.
// Nothing is written. The invitation's secret is sent only to a gate that is known to be the right one: by
// the system's authorities, or by those that the code pins.
func Enroll(ctx context.Context, gate, code string, h Host) (*Credentials, error) {
	c, err := ParseCode(code)
	if err != nil {
		return nil, err
	}
	base, err := base(gate)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	roots, err := authorities(ctx, base, c.Pin)
	if err != nil {
		return nil, err
	}
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	seed, err := key.Seed()
	if err != nil {
		return nil, err
	}
	r := Request{Secret: c.Secret, ID: h.ID, Name: h.Name, Key: public}
	var before nkeys.KeyPair
	if h.Before != nil && h.Before.ID == h.ID {
		if before, err = nkeys.FromSeed([]byte(h.Before.Seed)); err != nil {
			return nil, fmt.Errorf("the key from before: %w", err)
		}
	}
	if err := r.Sign(key, before); err != nil {
		return nil, err
	}
	var a Answer
	if err := post(ctx, client(roots), base+Path, r, &a); err != nil {
		return nil, err
	}
	if a.JWT == "" || len(a.Fleet) == 0 || len(a.Servers) == 0 {
		return nil, errors.New("the gate's answer lacks something; is it of this version?")
	}
	return &Credentials{ID: h.ID, Seed: string(seed), JWT: a.JWT, Fleet: a.Fleet, Servers: a.Servers, CA: a.CA}, nil
}

// base is the gate's address without a path.
func base(gate string) (string, error) {
	u, err := url.Parse(gate)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("%q isn't the address of a gate, such as \"https://gate.corp.example\"", gate)
	}
	local := u.Hostname() == "localhost" || strings.HasPrefix(u.Hostname(), "127.") || u.Hostname() == "::1"
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return "", fmt.Errorf("%s: the code would travel readable; use https", gate)
	}
	return u.Scheme + "://" + u.Host, nil
}

// authorities gets those that the pin is of. Who answers isn't known then, and need not be: nothing is told,
// and only what has the pin is taken. Nil: the system's.
func authorities(ctx context.Context, base, pin string) (*x509.CertPool, error) {
	if pin == "" {
		return nil, nil
	}
	anybody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment}}
	defer anybody.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+CAPath, nil)
	if err != nil {
		return nil, err
	}
	data, err := do(anybody, req)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(PinOf(string(data))), []byte(pin)) != 1 {
		return nil, fmt.Errorf("%s isn't the gate that made the code, or somebody is in between: its authorities aren't those that the code pins", base)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("the gate's authorities have no certificate in PEM")
	}
	return pool, nil
}

func client(roots *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
	}}
}

func post(ctx context.Context, c *http.Client, address string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if data, err = do(c, req); err != nil {
		return err
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("the gate's answer can't be read: %w", err)
	}
	return nil
}

// do is the body of an answer. A refusal's text is the error.
func do(c *http.Client, req *http.Request) ([]byte, error) {
	req.Header.Set("User-Agent", "shadowctl/"+version.String())
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		var p struct{ Detail string }
		if json.Unmarshal(data, &p) == nil && p.Detail != "" {
			return nil, fmt.Errorf("the gate refuses: %s", p.Detail)
		}
		return nil, fmt.Errorf("the gate answers %s; is it one of a fleet?", resp.Status)
	}
	return data, nil
}
