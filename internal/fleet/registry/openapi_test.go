package registry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow/internal/fleet/enrol"
	"vda.internal/shadow/internal/fleet/registry"
	"vda.internal/shadow/internal/fleet/testfleet"
)

// What hosts ask of a gate is as the document says.
func TestOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../../../docs/openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	doc.Servers = nil
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	openapi3filter.RegisterBodyDecoder("application/x-pem-file", openapi3filter.FileBodyDecoder)
	f := testfleet.New(t)
	try := func(method, path string, body any, want int) {
		t.Helper()
		data, err := json.Marshal(body)
		require.NoError(t, err)
		ask := func() *http.Request {
			req, err := http.NewRequestWithContext(t.Context(), method, f.Gate.URL+path, bytes.NewReader(data))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/json")
			return req
		}
		resp, err := http.DefaultClient.Do(ask())
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, want, resp.StatusCode, "%s", answer)
		route, params, err := router.FindRoute(ask())
		require.NoError(t, err, "%s %s isn't in the document", method, path)
		input := &openapi3filter.RequestValidationInput{Request: ask(), PathParams: params, Route: route}
		if want < 400 {
			require.NoError(t, openapi3filter.ValidateRequest(t.Context(), input))
		}
		require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(answer)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}), "%s %s: %s", method, path, answer)
	}
	code, err := enrol.ParseCode(invite(t, f, registry.Invitation{Hosts: "vda1"}))
	require.NoError(t, err)
	key, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	wish := enrol.Request{Secret: code.Secret, ID: "vda1", Key: public}
	require.NoError(t, wish.Sign(key, nil))

	try("POST", enrol.Path, map[string]string{"nonsense": "x"}, 400)
	try("POST", enrol.Path, enrol.Request{Secret: "wrong", ID: "vda1", Key: public, Proof: wish.Proof}, 403)
	try("POST", enrol.Path, wish, 200)
	try("GET", enrol.CAPath, nil, 404)
	f.Registry.CA = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
	try("GET", enrol.CAPath, nil, 200)
}
