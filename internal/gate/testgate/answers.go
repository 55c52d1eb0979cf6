package testgate

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// answers are what gates have said to clients of this test binary: a method and a path by what came of them.
var answers struct {
	mu  sync.Mutex
	all map[string]*http.Response // without bodies
}

// noting remembers answers.
type noting struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (n noting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := n.Transport.RoundTrip(r)
	if err == nil {
		Note(resp)
	}
	return resp, err
}

// Note remembers an answer that came in another way than by a [Client].
func Note(resp *http.Response) {
	answers.mu.Lock()
	defer answers.mu.Unlock()
	if answers.all == nil {
		answers.all = map[string]*http.Response{}
	}
	key := fmt.Sprint(resp.StatusCode, " ", resp.Request.Method, " ", resp.Request.URL.Path)
	answers.all[key] = &http.Response{StatusCode: resp.StatusCode, Request: resp.Request}
}

// Checked are a package's tests, after which what gates have answered in them is held to the document at Path: each status of a
// call that is in it has to be in it, too.
type Checked struct {
	*testing.M
	Path string
}

// Run returns the exit status.
func (c Checked) Run() int {
	if status := c.M.Run(); status != 0 {
		return status
	}
	missing, err := undocumented(c.Path)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, line := range missing {
		fmt.Println("a gate has answered what isn't in " + c.Path + ": " + line)
	}
	return min(1, len(missing))
}

// undocumented are the answers whose status isn't in the document, by call.
func undocumented(path string) ([]string, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	doc.Servers = nil
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	answers.mu.Lock()
	defer answers.mu.Unlock()
	missing := map[string]bool{}
	for _, resp := range answers.all {
		route, _, err := router.FindRoute(resp.Request)
		if err != nil { // a page, or what there isn't
			continue
		}
		if route.Operation.Responses.Status(resp.StatusCode) == nil {
			missing[fmt.Sprint(resp.StatusCode, " for ", route.Method, " ", route.Path)] = true
		}
	}
	return slices.Sorted(maps.Keys(missing)), nil
}
