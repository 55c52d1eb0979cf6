package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api"
	realgate "vda.internal/shadow/internal/gate"
	"vda.internal/shadow/internal/gate/hosts"
	"vda.internal/shadow/internal/gate/signin"
	"vda.internal/shadow/internal/gate/testgate"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testfirefox"
	"vda.internal/shadow/internal/viewer"
	"vda.internal/shadow/tlsstore"
)

// An authority vouches for localhost and 127.0.0.1, which are two sites to a browser.
type authority struct {
	file      string // its certificate
	cert, key string // the pair that it vouches for
	roots     *x509.CertPool
	store     *tlsstore.Store // with that pair
	tls       *tls.Config     // as shadowgate has it of tlsstore
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	sign := func(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		if by == nil {
			parent, by = template, key
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
		require.NoError(t, err)
		cert, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		return cert, key
	}
	ca, caKey := sign(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "The test's authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	leaf, key := sign(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ca, caKey)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	a := &authority{file: write("ca.pem", "CERTIFICATE", ca.Raw), cert: write("shadowingcert.pem", "CERTIFICATE", leaf.Raw), key: write("shadowingkey.pem", "PRIVATE KEY", private), roots: x509.NewCertPool()}
	a.roots.AddCert(ca)
	a.store = &tlsstore.Store{Dir: dir}
	a.tls, err = a.store.TLSConfig("localhost")
	require.NoError(t, err)
	a.tls.NextProtos = []string{"h2", "http/1.1"}
	return a
}

// A visitor is a browser at a gate, whichever it is.
type visitor interface {
	goes(url string)
	presses(selector, text string)
	types(selector, keys string)
	says(selector, text string)
	is(expression string)
	cookies() []kept
}

// kept is a cookie as a browser keeps it.
type kept struct {
	name, domain, path, sameSite string
	secure, httpOnly, lasts      bool
}

// A trusting Chromium has one authority more than others.
type chromiumVisitor struct{ *tab }

func trustingChromium(t *testing.T, a *authority) visitor {
	t.Helper()
	testenv.Program(t, "chromium", "chromium")
	home := t.TempDir()
	testenv.Trust(t, filepath.Join(home, ".pki", "nssdb"), a.file)
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), append(browserOptions(filepath.Join(home, "profile")),
		chromedp.Env("HOME="+home, "XDG_DATA_HOME="+filepath.Join(home, ".local/share"), "XDG_CONFIG_HOME="+filepath.Join(home, ".config")))...)
	t.Cleanup(endAllocator)
	browser, endBrowser := chromedp.NewContext(allocator)
	t.Cleanup(func() { _ = chromedp.Cancel(browser); endBrowser() })
	require.NoError(t, chromedp.Do(browser, chromedp.EmulateViewport(1280, 800)))
	return chromiumVisitor{newTab(t, browser, "")}
}

func (c chromiumVisitor) goes(url string)               { c.do(chromedp.Navigate(url)) }
func (c chromiumVisitor) presses(selector, text string) { c.click(selector, text) }
func (c chromiumVisitor) types(selector, keys string)   { c.fill(selector, keys) }
func (c chromiumVisitor) is(expression string)          { c.until("%s", expression) }

func (c chromiumVisitor) cookies() (list []kept) {
	all, err := chromedp.Call(c.ctx, network.GetCookies, network.GetCookiesParams{})
	require.NoError(c.t, err)
	for _, one := range all.Cookies {
		list = append(list, kept{one.Name, one.Domain, one.Path, strings.ToLower(string(one.SameSite)), one.Secure, one.HTTPOnly, !one.Session})
	}
	return list
}

type firefoxVisitor struct{ fox }

func trustingFirefox(t *testing.T, a *authority) visitor {
	return firefoxVisitor{fox{testfirefox.Start(t, 2*patience, a.file)}}
}

func (f firefoxVisitor) goes(url string)               { f.Open(url) }
func (f firefoxVisitor) presses(selector, text string) { f.press(selector, text) }
func (f firefoxVisitor) types(selector, keys string) {
	f.fox.types(selector, strings.ReplaceAll(keys, "\r", enter))
}
func (f firefoxVisitor) is(expression string) { f.Until("%s", expression) }

func (f firefoxVisitor) cookies() (list []kept) {
	for _, one := range f.Cookies() {
		list = append(list, kept{one.Name, one.Domain, one.Path, one.SameSite, one.Secure, one.HTTPOnly, one.Expiry != 0})
	}
	return list
}

// inBothBrowsers runs a test in Chromium and in Firefox ESR.
func inBothBrowsers(t *testing.T, a *authority, test func(*testing.T, visitor)) {
	for name, start := range map[string]func(*testing.T, *authority) visitor{"Chromium": trustingChromium, "Firefox": trustingFirefox} {
		t.Run(name, func(t *testing.T) { test(t, start(t, a)) })
	}
}

// cookiesOf are the cookies whose names begin so.
func cookiesOf(list []kept, prefix string) []kept {
	return slices.DeleteFunc(slices.Clone(list), func(c kept) bool { return !strings.HasPrefix(c.name, prefix) })
}

// origin is a free port of localhost as browsers call it, and as it is listened at.
func origin(t *testing.T) (url, address string) {
	port := testenv.Ports(t, 1)
	return fmt.Sprint("https://localhost:", port), fmt.Sprint("127.0.0.1:", port)
}

// live is a view on the page, with its picture.
const live = `document.querySelector("section.view")?.dataset.state === "live" && document.querySelector(".target canvas")?.width === 160`

// Over https, from a provider of another site: sign-in, the cookies as browsers keep them, a view, the provider's end, and the ways
// out, in both browsers.
func TestProviderOverHTTPS(t *testing.T) {
	needPages(t)
	a := newAuthority(t)
	inBothBrowsers(t, a, func(t *testing.T, b visitor) {
		url, address := origin(t)
		p := testgate.StartProvider(t, url, a.cert, a.key)
		d := testgate.NewDaemon(t, func(d *testgate.Daemon) { d.WithTLS(a.store) })
		host := &hosts.Local{Client: d.Client, Called: testgate.Host, CAFile: a.file}
		g := testgate.New(t, nil, testgate.Options{Hosts: []hosts.Host{host}, Listen: address, TLS: a.tls, SignIn: func(c *signin.Config) {
			p.SignIn(t, url, a.roots)(c)
			c.Secure = true
		}, Gate: func(c *realgate.Config) { c.Origin, c.Label, c.Pages = url, "The test's", Pages() }})

		b.goes(url + "/me")
		b.presses("a.button", "Sign in with The test's")
		signInAtProvider(b)
		b.says("dl", "kim@corp")
		b.is(`location.href === "` + url + `/me" && document.cookie === ""`)
		own := cookiesOf(b.cookies(), "__Host-shadowgate")
		for _, c := range own {
			assert.Equal(t, kept{c.name, "localhost", "/", "lax", true, true, false}, c)
		}
		assert.ElementsMatch(t, []string{"__Host-shadowgate", "__Host-shadowgate-hint"}, names(own), "the one of the way to the provider is gone")

		b.presses("nav a", "Sessions")
		b.presses(".row button", "Ask to view")
		b.presses("dialog button", "Ask the user")
		b.is(live)
		views := cookiesOf(b.cookies(), "__Secure-shadowgate-view-")
		require.Len(t, views, 1)
		assert.Equal(t, "localhost /view/ strict true true", fmt.Sprint(views[0].domain, " ", views[0].path[:len("/view/")], " ", views[0].sameSite, " ", views[0].secure, " ", views[0].httpOnly))
		b.presses("button", "Stop")
		b.says(".over", "An administrator stopped the view")

		b.goes(url + "/me")
		b.presses("button", "Sign out")
		b.presses("button", "Yes, sign me out")
		b.says("h1", "Sign in")
		b.is(`location.href.startsWith("` + url + `/signin")`)
		assert.Empty(t, cookiesOf(b.cookies(), "__Host-shadowgate"))
		b.goes(url + "/me")
		b.says("h1", "Sign in")

		b.presses("a.button", "Sign in with The test's")
		signInAtProvider(b)
		b.says("dl", "kim@corp")
		p.Stop()
		b.goes(url + "/")
		b.presses(".row button", "Ask to view")
		b.presses("dialog button", "Ask the user")
		b.is(live)
		b.goes(url + "/me")
		b.presses("button", "Sign out")
		b.says("[role=status]", "You are signed out here")
		b.presses("a.button", "Sign in with The test's")
		b.says("[role=status]", "Try again in a moment")
		assert.NotContains(t, g.Log.String(), "a secret of the test's")
	})
}

// names are the cookies' names.
func names(list []kept) (all []string) {
	for _, c := range list {
		all = append(all, c.name)
	}
	return all
}

// signInAtProvider fills in the provider's forms, as kim.
func signInAtProvider(b visitor) {
	b.types(`input[name="login"]`, "kim")
	b.types(`input[name="password"]`, "x\r")
	b.presses("button", "Continue")
}

// Behind a proxy that has TLS and says who comes: signed in without a form, a view through it, and the way out that it names.
func TestHeaderProxyOverHTTPS(t *testing.T) {
	needPages(t)
	a := newAuthority(t)
	inBothBrowsers(t, a, func(t *testing.T, b visitor) {
		origin, address := origin(t)
		loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		g := testgate.New(t, testgate.NewDaemon(t), testgate.Options{SignIn: func(c *signin.Config) {
			c.Accounts, c.Secure = nil, true
			c.Header = &signin.Header{Name: "X-Remote-User", Groups: "X-Remote-Groups", From: loopback, SignedOut: "/proxy/signed-out"}
		}, Gate: func(c *realgate.Config) { c.Origin, c.Proxies, c.Pages = origin, loopback, Pages() }})
		signOut := serveProxy(t, address, a, g.URL)

		b.goes(origin + "/me")
		b.says("dl", "kim@corp")
		b.says("dl", "The organisation's proxy")
		own := cookiesOf(b.cookies(), "__Host-shadowgate")
		require.Len(t, own, 1)
		assert.Equal(t, kept{"__Host-shadowgate", "localhost", "/", "lax", true, true, false}, own[0])
		b.presses("nav a", "Sessions")
		b.presses(".row button", "Ask to view")
		b.presses("dialog button", "Ask the user")
		b.is(live)
		b.goes(origin + "/me")
		b.presses("button", "Sign out")
		b.says("body", "signed out at the proxy")
		assert.Empty(t, cookiesOf(b.cookies(), "__Host-shadowgate"))
		signOut()
		b.is(`(history.back(), true)`)
		b.says("[role=status]", "You are not signed in")
		b.goes(origin + "/me")
		b.says("[role=status]", "You are not signed in")
	})
}

// The page of a granted port over https, by wss, in both browsers: the picture, a reload, and the end in words.
func TestGrantedPortOverHTTPS(t *testing.T) {
	needPages(t)
	a := newAuthority(t)
	inBothBrowsers(t, a, func(t *testing.T, b visitor) {
		d := testgate.NewDaemon(t, func(d *testgate.Daemon) {
			d.Change = func(c *shadow.Config) { c.Page, c.Host = viewer.Page(c.Reconnect), "localhost" }
			d.WithTLS(a.store)
		})
		grant, err := d.Client.Shadow(t.Context(), api.Request{Session: "s1", Admin: "alice"})
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(grant.Page, "https://localhost:"), grant.Page)
		b.goes(grant.Page)
		const live = `document.body?.dataset.state === "live" && document.querySelector("canvas")?.width === 160` // it may be loading
		b.is(live)
		assert.Empty(t, b.cookies())
		b.is(`(window.before = true, location.reload(), true)`)
		b.is(`!window.before && ` + live)
		require.NoError(t, d.Client.Stop(t.Context(), grant.ID))
		b.says("h1", "An administrator stopped the view")
	})
}

// serveProxy is a reverse proxy in front of a gate, under TLS, for which everybody is kim until signOut is called.
func serveProxy(t *testing.T, address string, a *authority, gate string) (signOut func()) {
	t.Helper()
	to, err := url.Parse(gate)
	require.NoError(t, err)
	out := make(chan struct{})
	proxy := &httputil.ReverseProxy{ErrorLog: log.New(testWriter{t}, "", 0), FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.SetXForwarded()
		r.Out.Host = r.In.Host
		for _, name := range []string{"X-Remote-User", "X-Remote-Groups"} {
			r.Out.Header.Del(name)
		}
		select {
		case <-out:
		default:
			r.Out.Header.Set("X-Remote-User", "kim@corp")
			r.Out.Header.Set("X-Remote-Groups", "administrators")
		}
	}}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("/proxy/signed-out", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<p>signed out at the proxy") })
	ln, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(testWriter{t}, "", 0)}
	served := make(chan error, 1)
	config := a.tls.Clone()
	config.NextProtos = []string{"http/1.1"}
	go func() { served <- server.Serve(tls.NewListener(ln, config)) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return func() { close(out) }
}

// A testWriter writes into a test's log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}
