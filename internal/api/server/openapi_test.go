package server

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"iter"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	"vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/access"
	"vda.internal/shadow/internal/gate/tickets"
)

const openapiFile = "../../../docs/openapi.yaml"

var update = flag.Bool("update", false, "write docs/openapi.yaml anew: its schemas follow the types")

// The document's schemas are the types that travel: their names, fields and comments.
func TestOpenAPISchemas(t *testing.T) {
	data, err := os.ReadFile(openapiFile)
	require.NoError(t, err)
	const begin = "  # The rest follows the types of internal/api and internal/gate: go test ./internal/api/server -run OpenAPI -update\n"
	head, rest, ok := strings.Cut(string(data), begin)
	require.True(t, ok, "the line that begins the generated part is gone")
	want := schemas(t)
	if *update {
		require.NoError(t, os.WriteFile(openapiFile, []byte(head+begin+want), 0o644))
		return
	}
	assert.Equal(t, want, rest, "run go test ./internal/api/server -run OpenAPI -update")
}

// Every status that a call can have is in the document: who may not connect, or has no room, gets the same whatever is asked, and each
// reason of the engine's has its status.
func TestOpenAPIStatuses(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(openapiFile)
	require.NoError(t, err)
	everywhere := []int{refusedProblem(errors.New("x")).Status, refusedProblem(&errExcess{}).Status}
	asking := []int{ProblemOf(errors.New("x")).Status, http.StatusBadRequest, http.StatusRequestEntityTooLarge}
	for _, r := range shadow.Reasons() {
		asking = append(asking, ProblemOf(&shadow.End{Reason: r}).Status)
	}
	calls := 0
	for path, item := range doc.Paths.Map() {
		if !strings.HasPrefix(path, "/v1/") {
			continue
		}
		for method, op := range item.Operations() {
			calls++
			want := everywhere
			if method == http.MethodPost {
				want = slices.Concat(everywhere, asking)
			}
			for _, status := range want {
				assert.NotNil(t, op.Responses.Status(status), "%s %s: %d", method, path, status)
			}
		}
	}
	require.Greater(t, calls, 7)
}

// schemas are the types as OpenAPI has them.
func schemas(t *testing.T) string {
	docs := comments(t, "..", "../../..", "../../gate", "../../gate/access", "../../gate/tickets")
	enums := constants(t, "../../..", "../../../consent")
	enums["State"] = slices.DeleteFunc(enums["State"], func(s string) bool { return s == string(shadow.Ended) }) // what has ended is in no answer
	var b strings.Builder
	for _, v := range []any{api.Request{}, api.Grant{}, api.Status{}, api.ShadowList{}, api.Monitor{}, api.Session{}, api.SessionList{}, api.Rule{}, api.RuleList{}, api.Terms{}, api.Verdict{}, shadow.Event{}, shadow.Caller{}, api.Problem{},
		gate.Methods{}, gate.Label{}, gate.Credentials{}, gate.Next{}, gate.Me{}, gate.SignInList{}, gate.SignIn{}, gate.Ending{}, access.Permit{}, gate.HostState{}, gate.HostList{}, gate.Row{}, gate.RowShadow{},
		gate.RowList{}, gate.Gone{}, gate.Wish{}, gate.View{}, gate.TicketWish{}, tickets.Ticket{}, gate.Standing{}, gate.StandingList{}, gate.Happening{}, gate.HappeningList{}} {
		schema(&b, reflect.TypeOf(v), docs, enums)
	}
	return b.String()
}

func schema(b *strings.Builder, typ reflect.Type, docs map[string]string, enums map[string][]string) {
	fmt.Fprintf(b, "    %s:\n      type: object\n      description: %q\n", typ.Name(), docs[typ.Name()])
	var required []string
	var properties strings.Builder
	for owner, f := range fields(typ) {
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if option == "" {
			required = append(required, name)
		}
		fmt.Fprintf(&properties, "        %s:\n", name)
		doc := docs[owner.Name()+"."+f.Name]
		if doc != "" && kind(f.Type)[0] != "$ref" {
			fmt.Fprintf(&properties, "          description: %q\n", doc)
		}
		property(&properties, f.Type, "          ", enums)
		if strings.HasSuffix(doc, "consent.Basis") { // as a string
			enum(&properties, "          ", enums["Basis"])
		}
	}
	if len(required) > 0 {
		fmt.Fprintf(b, "      required: [%s]\n", strings.Join(required, ", "))
	}
	b.WriteString("      properties:\n" + properties.String())
}

// fields are a type's, and those of what is embedded in it, with the type that declares each.
func fields(typ reflect.Type) iter.Seq2[reflect.Type, reflect.StructField] {
	return func(yield func(reflect.Type, reflect.StructField) bool) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Anonymous {
				for owner, inner := range fields(f.Type) {
					if !yield(owner, inner) {
						return
					}
				}
				continue
			}
			if tag := f.Tag.Get("json"); tag != "" && tag != "-" && !yield(typ, f) {
				return
			}
		}
	}
}

// kind is a Go type as OpenAPI has it: its keyword and value.
func kind(typ reflect.Type) [2]string {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ == reflect.TypeFor[time.Time]():
		return [2]string{"type", "string"}
	case typ.Kind() == reflect.Struct:
		return [2]string{"$ref", `"#/components/schemas/` + typ.Name() + `"`}
	case typ.Kind() == reflect.Slice:
		return [2]string{"type", "array"}
	case typ.Kind() == reflect.Bool:
		return [2]string{"type", "boolean"}
	case typ.Kind() == reflect.Float64:
		return [2]string{"type", "number"}
	case typ.Kind() == reflect.String:
		return [2]string{"type", "string"}
	}
	return [2]string{"type", "integer"}
}

func enum(b *strings.Builder, indent string, words []string) {
	fmt.Fprintf(b, "%senum: [%s]\n", indent, strings.Join(words, ", "))
}

func property(b *strings.Builder, typ reflect.Type, indent string, enums map[string][]string) {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	k := kind(typ)
	fmt.Fprintf(b, "%s%s: %s\n", indent, k[0], k[1])
	switch {
	case typ == reflect.TypeFor[time.Time]():
		b.WriteString(indent + "format: date-time\n")
	case typ == reflect.TypeFor[shadow.Reason]():
		var all []string
		for _, r := range shadow.Reasons() {
			all = append(all, string(r))
		}
		enum(b, indent, all)
	case typ == reflect.TypeFor[shadow.State](), typ == reflect.TypeFor[shadow.EventType]():
		enum(b, indent, enums[typ.Name()])
	case typ.Kind() == reflect.Slice:
		b.WriteString(indent + "items:\n")
		property(b, typ.Elem(), indent+"  ", enums)
	}
}

// constants are the values of the string constants in some packages, by their type's name, in order.
func constants(t *testing.T, dirs ...string) map[string][]string {
	all := map[string][]string{}
	for _, dir := range dirs {
		for _, file := range files(t, dir) {
			for _, d := range file.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.CONST {
					continue
				}
				for _, s := range g.Specs {
					v := s.(*ast.ValueSpec)
					typ, ok := v.Type.(*ast.Ident)
					if !ok || len(v.Values) != 1 {
						continue
					}
					if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
						word, err := strconv.Unquote(lit.Value)
						require.NoError(t, err)
						all[typ.Name] = append(all[typ.Name], word)
					}
				}
			}
		}
	}
	return all
}

// files are a package's, without its tests.
func files(t *testing.T, dir string) []*ast.File {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var all []*ast.File
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+e.Name(), nil, parser.ParseComments)
		require.NoError(t, err)
		all = append(all, file)
	}
	return all
}

// comments are those of the types in some packages and of their fields, by "Type" and "Type.Field".
func comments(t *testing.T, dirs ...string) map[string]string {
	docs := map[string]string{}
	link := regexp.MustCompile(`\[(\w+(?:\.\w+)*)\]`)
	words := func(groups ...*ast.CommentGroup) string {
		for _, g := range groups {
			if text := strings.Join(strings.Fields(g.Text()), " "); text != "" {
				return link.ReplaceAllString(text, "$1")
			}
		}
		return ""
	}
	for _, dir := range dirs {
		for _, file := range files(t, dir) {
			for _, d := range file.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok {
					continue
				}
				for _, s := range g.Specs {
					ts, ok := s.(*ast.TypeSpec)
					if !ok || docs[ts.Name.Name] != "" { // the API's own go before the engine's
						continue
					}
					docs[ts.Name.Name] = words(g.Doc)
					st, ok := ts.Type.(*ast.StructType)
					if !ok {
						continue
					}
					for _, f := range st.Fields.List {
						for _, n := range f.Names {
							docs[ts.Name.Name+"."+n.Name] = words(f.Comment, f.Doc)
						}
					}
				}
			}
		}
	}
	return docs
}

// gates are the paths of shadowgate, whose own test holds it to them.
var gates = regexp.MustCompile(`^/(api|signin|view|fleet|readyz)(/|$)`)

// What the handlers answer is what the document says, and they take no path that isn't in it.
func TestOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(openapiFile)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	doc.Servers = nil
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)

	refused := false
	e := &fakeEngine{
		shadow: func(context.Context, shadow.Request) (*shadow.Grant, error) {
			if refused {
				return nil, &shadow.End{Reason: shadow.Denied, Detail: "more of it"}
			}
			g := grant()
			g.Page = "http://vda1.corp:6001/#t0"
			return g, nil
		},
		sessions: []*shadow.Session{
			{ID: "42", User: "ann", UID: 1000, Display: ":1", Type: "x11", Class: "user", State: "active"},
			{ID: "43", User: "bob", UID: 1001, Type: "wayland"},
		},
		list: []shadow.Status{{ID: "ab12", Session: "42", User: "ann", Admin: "alice", State: shadow.Viewing, Port: 6001, Since: time.Now()}},
	}
	client, _ := serve(t, e, Options{Config: "f00", Terms: &api.Terms{Timeout: 7.5, Reconnect: new(float64), Purpose: "required"}})
	try := func(method, path, body string, want int) {
		t.Helper()
		resp, answer := do(t, client, method, path, "application/json", body)
		require.Equal(t, want, resp.StatusCode, "%s %s: %s", method, path, answer)
		req, err := http.NewRequest(method, "http://shadowd"+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		route, params, err := router.FindRoute(req)
		require.NoError(t, err, "%s %s isn't in the document", method, path)
		input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route}
		if want < 400 {
			require.NoError(t, openapi3filter.ValidateRequest(t.Context(), input), "%s %s", method, path)
		}
		output := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header,
			Body:    io.NopCloser(bytes.NewReader([]byte(answer))),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}
		require.NoError(t, openapi3filter.ValidateResponse(t.Context(), output), "%s %s: %s", method, path, answer)
	}
	const ask = `{"session":"42","admin":"alice"}`
	try("POST", "/v1/shadows", ask, 201)
	refused = true
	try("POST", "/v1/shadows", ask, 403)
	try("POST", "/v1/shadows", `{"session":"42"}`, 400)
	try("GET", "/v1/shadows", "", 200)
	try("GET", "/v1/shadows/ab12", "", 200)
	try("GET", "/v1/shadows/none", "", 404)
	try("DELETE", "/v1/shadows/ab12", "", 204)
	try("DELETE", "/v1/shadows/none", "", 404)
	try("GET", "/v1/sessions", "", 200)
	try("GET", "/v1/rules", "", 200)
	try("POST", "/v1/rules/test", ask, 200)
	try("POST", "/v1/rules/test?account=gate:gate1", ask, 200)
	try("GET", "/metrics", "", 200)
	try("GET", "/healthz", "", 200)

	var documented []string
	for path := range doc.Paths.Map() {
		if !gates.MatchString(path) {
			documented = append(documented, path)
		}
	}
	source, err := os.ReadFile("handler.go")
	require.NoError(t, err)
	var handled []string
	for _, m := range regexp.MustCompile(`mux\.Handle\("(/[^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		handled = append(handled, m[1])
	}
	slices.Sort(documented)
	slices.Sort(handled)
	assert.Equal(t, handled, documented)
}
