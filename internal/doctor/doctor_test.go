package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"vda.internal/shadow"
	"vda.internal/shadow/internal/api/server"
	"vda.internal/shadow/internal/config"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/host/xprobe"
	"vda.internal/shadow/internal/testenv"
	"vda.internal/shadow/internal/testnotify"
	"vda.internal/shadow/rfb"
	"vda.internal/shadow/source/capture"
)

func TestMain(m *testing.M) {
	xprobe.Child()
	capture.Child()
	inNamespace()
	goleak.VerifyTestMain(m)
}

func TestAWellHost(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	p := w.well(t)
	p.top = "ShadowingUseSSL = 1\n"
	p.pair(24*time.Hour, "vda1.corp.example")
	p.host.xvfb = true
	startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{})
	var told []Check
	p.Found = func(c Check) { told = append(told, c) }
	r := p.examine()
	assert.True(t, r.Works)
	assert.Empty(t, of(r, Bad))
	assert.Equal(t, told, r.Checks)
	last := r.Checks[len(r.Checks)-1]
	assert.Equal(t, "self-test", last.Name)
	assert.Equal(t, OK, last.State, last.Found)
	var names []string
	for _, c := range r.Checks {
		if c.Name != "rights" {
			names = append(names, c.Name)
		}
		assert.Equal(t, c.State == OK, c.Remedy == "", "%+v: what isn't fine comes with what to do", c)
	}
	assert.Equal(t, []string{"configuration", "kernel", "settings", "daemon", "name", "ports", "firewall", "certificate", "picture", "session 42", "session 42", "question", "self-test"}, names)
}

// A server that is dialled is greeted once.
func TestDialledPicture(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	p := w.well(t)
	startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{})
	socket := filepath.Join(p.dir, "rfb.sock")
	ln, err := net.Listen("unix", socket)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			defer conn.Close()
			_, err = (&rfb.Server{Init: rfb.ServerInit{Width: 20, Height: 10, Format: rfb.PixelFormat{
				BitsPerPixel: 32, Depth: 24, TrueColor: true, RedMax: 255, GreenMax: 255, BlueMax: 255,
			}}}).Accept(t.Context(), conn)
		}
		served <- err
	}()
	p.tables["source"] = fmt.Sprintf("kind = \"dial\"\ndial = \"unix:%s\"\n", socket)
	r := p.examine()
	ln.Close()
	require.NoError(t, <-served)
	assert.True(t, r.Works, "%+v", of(r, Bad))
	var found string
	for _, c := range r.Checks {
		if c.Name == "picture" {
			assert.Equal(t, OK, c.State)
			found = c.Found
		}
	}
	assert.Contains(t, found, "shows 20x10 pixels")
}

const nftDrop = `{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "inet", "name": "filter"}},
 {"chain": {"family": "inet", "table": "filter", "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
 {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null}]}},
 {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, {"accept": null}]}}]}`

// Each breaks one thing, and the doctor names it and what to do.
func TestBrokenHosts(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	for _, c := range []struct {
		name          string
		spoil         func(p *patient)
		check         string
		found, remedy string
	}{
		{"mistake in the configuration", func(p *patient) { p.top = "EnableSessionShadowing = 5\n" },
			"configuration", "EnableSessionShadowing: 5 isn't allowed", "shadowd --check"},
		{"two mistakes in the configuration", func(p *patient) { p.top = "EnableSessionShadowing = 5\nbogus = 1\n" },
			"configuration", "5 isn't allowed; allowed are 0 and 1; ", "shadowd --check"},
		{"switched off", func(p *patient) { p.top = "EnableSessionShadowing = 0\n" },
			"settings", "EnableSessionShadowing is 0", `shadowctl ctxreg update -k "HKLM\Software\Citrix\VirtualDesktopAgent" -v "EnableSessionShadowing" -d 0x00000001`},
		{"no ctxreg", func(p *patient) { p.top = "settings = \"ctxreg\"\nctxreg = \"/nonexistent/ctxreg\"\n" },
			"settings", "isn't at /nonexistent/ctxreg", `settings = "file"`},
		{"no daemon", func(p *patient) { p.tables["control"] = "socket = \"/nonexistent/control.sock\"\n" },
			"daemon", "there is no socket /nonexistent/control.sock", "systemctl start shadowd"},
		{"name unknown", func(p *patient) {
			p.host.lookup = func(context.Context, string) ([]netip.Addr, error) {
				return nil, &net.DNSError{Err: "no such host", Name: "vda1.corp.example"}
			}
		}, "name", "vda1.corp.example, the host in viewers' URLs, can't be resolved: no such host", "DNS"},
		{"name of another host", func(p *patient) {
			p.host.lookup = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("192.0.2.99")}, nil
			}
		}, "name", "192.0.2.99, which isn't an address of this host (192.0.2.10)", "correct DNS"},
		{"name of another interface", func(p *patient) {
			p.tables["ports"] = "listen = \"192.0.2.11\"\n"
			p.host.bind = func(string) error { return nil }
		}, "name", "vda1.corp.example is 192.0.2.10, but viewers' ports are bound on 192.0.2.11", "ports.listen"},
		{"no such address", func(p *patient) {
			p.tables["ports"] = "listen = \"192.0.2.10\"\n"
		}, "ports", "ports.listen is 192.0.2.10, which isn't an address of this host", "leave ports.listen out"},
		{"only IPv6 in the name", func(p *patient) {
			p.tables["ports"] = "listen = \"0.0.0.0\"\n"
			p.host.lookup = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("2001:db8::10")}, nil
			}
			p.host.own = func() ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("192.0.2.10")}, nil
			}
		}, "name", "vda1.corp.example is 2001:db8::10, but viewers' ports listen on 0.0.0.0, which IPv6 doesn't reach", "leave ports.listen out"},
		{"no port left", func(p *patient) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(p.t, err)
			p.t.Cleanup(func() { ln.Close() })
			port := ln.Addr().(*net.TCPAddr).Port
			p.tables["ports"] = fmt.Sprintf("listen = \"127.0.0.1\"\nfirst = %d\nlast = %[1]d\n", port)
		}, "ports", fmt.Sprintf("doctor.test (pid %d)", os.Getpid()), "ports.first"},
		{"nftables", func(p *patient) { p.tool("nft", prints(nftDrop)) },
			"firewall", "nftables drops connections to", "nft insert rule inet filter input tcp dport"},
		{"iptables", func(p *patient) {
			p.tool("iptables-save", prints("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m multiport --dports 1024:65535 -j REJECT --reject-with tcp-reset\nCOMMIT"))
		}, "firewall", "--dports 1024:65535 -j REJECT", "iptables -I INPUT -p tcp --dport"},
		{"answers that aren't let out", func(p *patient) {
			p.tool("iptables-save", prints("*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT DROP [0:0]\n-A OUTPUT -p tcp -m tcp --sport 22 -j ACCEPT\nCOMMIT"))
		}, "firewall", "iptables drops the answers to connections to", "iptables -I OUTPUT -p tcp --sport"},
		{"connections that are redirected", func(p *patient) {
			p.tool("iptables-save", prints("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 1024:65535 -j REDIRECT --to-ports 80\nCOMMIT"))
		}, "firewall", "iptables redirects connections to", "iptables -t nat -I PREROUTING -p tcp --dport"},
		{"no certificate", func(p *patient) { p.top = "ShadowingUseSSL = 1\n" },
			"certificate", "there is no shadowingcert.*", "put the host's certificate there"},
		{"certificate expired", func(p *patient) {
			p.top = "ShadowingUseSSL = 1\n"
			p.pair(-time.Hour, "vda1.corp.example")
		}, "certificate", "expired on", "put a renewed one there"},
		{"key open to others", func(p *patient) {
			p.top = "ShadowingUseSSL = 1\n"
			p.pair(time.Hour, "vda1.corp.example")
			require.NoError(p.t, os.Chmod(filepath.Join(p.dir, "shadowingkey.pem"), 0o644))
		}, "certificate", "others can use the private key", "chmod 600"},
		{"another name in the certificate, strictly", func(p *patient) {
			p.top = "ShadowingUseSSL = 1\n"
			p.pair(time.Hour, "vda2.corp.example")
			p.tables["tls"] += "strict = true\n"
		}, "certificate", "not for vda1.corp.example", "subject alternative name"},
		{"another name in the certificate", func(p *patient) {
			p.top = "ShadowingUseSSL = 1\n"
			p.pair(time.Hour, "vda2.corp.example")
		}, "certificate", "not for vda1.corp.example", "browsers will refuse it"},
		{"a passphrase that nobody has", func(p *patient) { p.sealedPair() },
			"certificate", "is encrypted", "write its passphrase into"},
		{"some ports dropped", func(p *patient) {
			p.tool("iptables-save", prints("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport "+strconv.Itoa(p.first)+" -j DROP\nCOMMIT"))
		}, "firewall", "iptables drops connections to", "or set ports.first and ports.last to the range that is admitted"},
		{"no x11vnc", func(p *patient) { p.tables["source"] = "kind = \"x11vnc\"\nx11vnc = \"/nonexistent/x11vnc\"\n" },
			"picture", "there is no x11vnc at /nonexistent/x11vnc", "correct source.x11vnc"},
		{"an old x11vnc", func(p *patient) {
			p.tool("x11vnc", "echo 'x11vnc: 0.9.12 lastmod: 2010-09-09'")
			p.tables["source"] = fmt.Sprintf("kind = \"x11vnc\"\nx11vnc = %q\n", filepath.Join(p.host.path, "x11vnc"))
		}, "picture", "is version 0.9.12, and 0.9.13 or later is needed", ""},
		{"nothing to dial", func(p *patient) { p.tables["source"] = "kind = \"dial\"\ndial = \"unix:/nonexistent/vnc\"\n" },
			"picture", "unix:/nonexistent/vnc", "start an RFB server"},
		{"no such session", func(p *patient) { p.Session = "43" },
			"session 43", "there is no such session", "shadowctl sessions"},
		{"Wayland", func(p *patient) { p.session.Type = "wayland" },
			"session 42", `the session isn't an X11 session: its type is "wayland"`, "X11 session"},
		{"locked", func(p *patient) { p.session.Locked = true },
			"session 42", "the session is locked", "unlocks"},
		{"no X server", func(p *patient) { p.session.Display = ":59997" },
			"session 42", "no X server answers at /tmp/.X11-unix/X59997", "X server of display :59997 runs"},
		{"no cookie", func(p *patient) { p.session.Xauthority = filepath.Join(w.desktop.Home, "gone") },
			"session 42", "can't be read by the session's user: no such file", "let the user user1 read it"},
		{"a wrong cookie", func(p *patient) {
			number := strings.TrimPrefix(p.session.Display, ":")
			entry := "\xff\xff\x00\x00\x00" + string(rune(len(number))) + number + "\x00\x12MIT-MAGIC-COOKIE-1\x00\x100123456789abcdef"
			p.session.Xauthority = filepath.Join(w.desktop.Home, "cookie")
			require.NoError(p.t, os.WriteFile(p.session.Xauthority, []byte(entry), 0o644))
		}, "session 42", "the X server refuses", "belongs to the running X server"},
		{"Xwayland", func(p *patient) { // whose monitors are called so
			d := testhost.Require(p.t, testhost.Options{Width: 320, Height: 200})
			_, err := d.Run(p.t.Context(), "xrandr", "--setmonitor", "XWAYLAND0", "320/100x200/100+0+0", "screen")
			require.NoError(p.t, err)
			p.session.Display, p.session.Xauthority = d.Display, d.Xauthority
		}, "session 42", "the picture can't be shown: this is Xwayland", `chooses an X11 session`},
		{"Xwayland, whose root x11vnc would show", func(p *patient) {
			d := testhost.Require(p.t, testhost.Options{Width: 320, Height: 200})
			_, err := d.Run(p.t.Context(), "xrandr", "--setmonitor", "XWAYLAND0", "320/100x200/100+0+0", "screen")
			require.NoError(p.t, err)
			p.session.Display, p.session.Xauthority = d.Display, d.Xauthority
			p.tables["source"] = "kind = \"auto\"\n"
		}, "session 42", "the picture can't be shown: this is Xwayland", `chooses an X11 session`},
		{"pixels that can't be shown", func(p *patient) { p.grays() },
			"session 42", "the picture can't be shown: the screen has StaticGray pixels of 8 bits", "TrueColor"},
		{"pixels that nothing shows", func(p *patient) {
			p.grays()
			p.tables["source"] = "kind = \"auto\"\nx11vnc = \"/nonexistent/x11vnc\"\n"
		}, "session 42", "StaticGray pixels of 8 bits; only TrueColor, and PseudoColor of 8 bits, can be shown; and in its place: there is no x11vnc", "TrueColor"},
		{"nobody is asked, all are refused", func(p *patient) { p.tables["consent"] = "prompter = \"deny\"\n" },
			"question", "every request is refused", `consent.prompter = "x11"`},
		{"no program that asks", func(p *patient) {
			p.tables["consent"] = "prompter = \"exec\"\nexec = [\"/nonexistent/ask\"]\n"
		}, "question", "/nonexistent/ask, which can't be run", "put the program there"},
		{"a directory that asks", func(p *patient) {
			p.tables["consent"] = fmt.Sprintf("prompter = \"exec\"\nexec = [%q]\n", p.dir)
		}, "question", "which is no program", "put the program there"},
		{"a program that asks, but not for users", func(p *patient) {
			if p.session.UID == uint32(os.Getuid()) {
				testenv.Lack(p.t, "root is needed to try out users' rights")
			}
			p.tool("ask", "")
			require.NoError(p.t, os.Chmod(filepath.Join(p.host.path, "ask"), 0o700))
			p.tables["consent"] = fmt.Sprintf("prompter = \"exec\"\nexec = [%q]\n", filepath.Join(p.host.path, "ask"))
		}, "question", "which runs as user1, who can't execute it", "executable by everybody"},
		{"no bus for notifications", func(p *patient) { p.notify("unix:path=/nonexistent/bus") },
			"question", "user1 can't be asked in a notification: no D-Bus bus answers: dial unix /nonexistent/bus", `consent.prompter = "x11"`},
		{"no notifications", func(p *patient) { p.notify(bus(p.t)) },
			"question", "the desktop has no notification service", "let a notification service that has buttons run"},
		{"notifications without buttons", func(p *patient) {
			p.notify(bus(p.t))
			testnotify.Start(p.t, p.session.Bus, "body")
		}, "question", `the desktop's notification service can't ask: it lacks "actions"`, `consent.prompter = "x11"`},
		{"notifications without a text", func(p *patient) {
			p.notify(bus(p.t))
			testnotify.Start(p.t, p.session.Bus, "actions")
		}, "question", `it lacks "body"`, `consent.prompter = "x11"`},
		{"no session now", func(p *patient) { p.Session = ""; p.session.Locked = true },
			"sessions", "1 session, and none that can be shadowed now", "shadowctl sessions"},
		{"sessions unknown", func(p *patient) {
			p.tables["sessions"] = "resolver = \"exec\"\nexec = [\"/bin/false\"]\n"
			p.host.resolver = nil
		}, "session 42", "/bin/false: exit status 1", "sessions.exec"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := w.well(t)
			startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{})
			c.spoil(p)
			r := p.examine()
			assert.False(t, r.Works)
			bad := of(r, Bad)
			require.NotEmpty(t, bad)
			for _, b := range bad {
				assert.Equal(t, c.check, b.Name, "one thing was broken: %+v", b)
			}
			assert.Contains(t, bad[0].Found, c.found)
			assert.Contains(t, bad[0].Remedy, c.remedy)
			assert.NotEmpty(t, bad[0].Remedy)
			assert.NotRegexp(t, `(^|: )(shadow|config|tlsstore|xprobe|program|ctxreg|control): `, bad[0].Found, "a package's name is no use here")
		})
	}
}

// These work, but somebody should have a look.
func TestNotes(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	addresses := func(list ...string) func(context.Context, string) ([]netip.Addr, error) {
		return func(context.Context, string) ([]netip.Addr, error) {
			var addrs []netip.Addr
			for _, a := range list {
				addrs = append(addrs, netip.MustParseAddr(a))
			}
			return addrs, nil
		}
	}
	anywhere := func(p *patient) { // as hosts are configured, without binding there
		p.tables["ports"] = "first = 6001\nlast = 6099\n"
		p.host.bind = func(string) error { return nil }
	}
	for _, c := range []struct {
		name         string
		spoil        func(p *patient)
		check, found string
	}{
		{"ws", func(*patient) {}, "settings", "viewers connect with ws"},
		{"only this host", func(*patient) {}, "name", "where only this host can connect"},
		{"/etc/hosts", func(p *patient) { anywhere(p); p.host.lookup = addresses("127.0.1.1") }, "name", "127.0.1.1 from here, which says nothing"},
		{"one of two", func(p *patient) { anywhere(p); p.host.lookup = addresses("192.0.2.10", "192.0.2.99") }, "name", "but also 192.0.2.99"},
		{"no domain", func(p *patient) {
			anywhere(p)
			p.tables["viewer"] = ""
			p.host.fqdn = func(context.Context) (string, error) { return "vda1", nil }
			p.host.lookup = addresses("192.0.2.10")
		}, "name", "vda1 is this host (192.0.2.10), but has no domain"},
		{"an address", func(p *patient) { anywhere(p); p.tables["viewer"] = "host = \"192.0.2.10\"\n" }, "name", "the address 192.0.2.10"},
		{"few ports", func(p *patient) {
			p.tables["ports"] = "first = 6001\nlast = 6099\n"
			p.host.bind = func(address string) error {
				if strings.HasSuffix(address, ":6042") {
					return nil
				}
				return &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
			}
		}, "ports", "1 of 99 ports 6001-6099 is free"},
		{"a firewall that knows networks", func(p *patient) {
			p.tool("iptables-save", prints("*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.0.0.0/8 -j ACCEPT\nCOMMIT"))
		}, "firewall", "depending on where they come from"},
		{"an authority that isn't known here", func(p *patient) {
			p.top = "ShadowingUseSSL = 1\n"
			p.pair(time.Hour, "vda1.corp.example")
		}, "certificate", "has signed itself"},
		{"a passphrase that the service has", func(p *patient) {
			p.sealedPair()
			p.credentials(true)
		}, "certificate", "has signed itself"},
		{"allow", func(p *patient) { p.tables["consent"] = "prompter = \"allow\"\n" }, "question", "nobody is asked"},
		{"no Xvfb", func(*patient) {}, "self-test", "there is no Xvfb"},
		{"an X server without MIT-SHM", func(p *patient) { p.without("MIT-SHM") }, "session 42", "the X server lacks MIT-SHM: the picture comes over the connection"},
		{"an X server without DAMAGE", func(p *patient) { p.without("DAMAGE") }, "session 42", "the X server lacks DAMAGE: the whole picture is compared ten times a second"},
		{"an X server without RANDR", func(p *patient) { p.without("RANDR") }, "session 42", "the X server lacks RANDR: single monitors can't be shown"},
		{"pixels that only x11vnc shows", func(p *patient) { p.grays(); p.tables["source"] = "kind = \"auto\"\n" },
			"session 42", "x11vnc shows it, for shadowd itself can't: the screen has StaticGray pixels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := w.well(t)
			startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{})
			c.spoil(p)
			r := p.examine()
			assert.True(t, r.Works, "%+v", of(r, Bad))
			var found string
			for _, n := range of(r, Note) {
				assert.NotEmpty(t, n.Remedy)
				if n.Name == c.check {
					found += n.Found + "\n"
				}
			}
			assert.Contains(t, found, c.found)
		})
	}
}

// What could not be seen and may be in the way is no reason to say that a
// shadow would work, and none to say that it wouldn't.
func TestUnseen(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	for _, c := range []struct {
		name                 string
		spoil                func(p *patient)
		check, found, remedy string
	}{
		{"a firewall that can't be read", func(p *patient) { p.tool("nft", "echo 'Operation not permitted' >&2; exit 1") },
			"firewall", "Operation not permitted", "check by other means"},
		{"no tool to look at firewalls", func(p *patient) { require.NoError(p.t, os.RemoveAll(p.host.path)) },
			"firewall", "there is neither nft nor iptables-save", "install nftables"},
		{"other programs' rules, without nft", func(p *patient) {
			require.NoError(p.t, os.Remove(filepath.Join(p.host.path, "nft")))
			p.tool("iptables-save", prints("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT"))
			p.host.root = p.t.TempDir()
			require.NoError(p.t, os.MkdirAll(filepath.Join(p.host.root, "sys/module/nf_tables"), 0o755))
		}, "firewall", "can't be listed without nft", "install nftables"},
		{"a firewall that isn't understood", func(p *patient) {
			p.tool("iptables-save", prints("*filter\n:INPUT DROP [0:0]\n-A INPUT -m mystery -j ACCEPT\nCOMMIT"))
		}, "firewall", "the doctor doesn't understand this rule: -A INPUT -m mystery -j ACCEPT", "iptables -I INPUT"},
		{"addresses that can't be listed", func(p *patient) {
			p.host.own = func() ([]netip.Addr, error) { return nil, errors.New("netlink: no") }
		}, "name", "this host's addresses can't be listed: netlink: no", "/proc"},
		{"a passphrase that only the service can see", func(p *patient) { p.sealedPair(); p.credentials(false) },
			"certificate", "but shadowd has credentials of its own in", "journalctl -u shadowd"},
		{"notifications that nobody has needed yet", func(p *patient) { p.notify(sleepyBus(p.t)) },
			"question", "the desktop's notification service isn't running yet", "notify-send hello"},
		{"another configuration", func(p *patient) { p.daemonConfig = "0123456789abcdef" },
			"daemon", "it was started with another configuration than", "systemctl restart shadowd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := w.well(t)
			c.spoil(p)
			startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{}, p.daemonConfig)
			r := p.examine()
			assert.False(t, r.Works)
			assert.Empty(t, of(r, Bad))
			var unseen []Check
			for _, check := range r.Checks {
				if check.Unseen {
					unseen = append(unseen, check)
				}
			}
			require.Len(t, unseen, 1, "%+v", r.Checks)
			assert.Equal(t, c.check, unseen[0].Name)
			assert.Equal(t, Note, unseen[0].State)
			assert.Contains(t, unseen[0].Found, c.found)
			assert.Contains(t, unseen[0].Remedy, c.remedy)
		})
	}
}

// A daemon that was started with another configuration is told from one that has applied every change.
func TestTheDaemonsConfiguration(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	p := w.well(t)
	p.examine()
	startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{}, p.cfg.Fingerprint())
	daemon := func() (found Check) {
		for _, c := range p.examine().Checks {
			if c.Name == "daemon" {
				found = c
			}
		}
		return found
	}
	assert.Equal(t, OK, daemon().State)
	p.top = "ShadowingUseSSL = 0x1\n# a comment\n"
	p.tables["log"] = "level = \"debug\"\n"
	assert.Equal(t, OK, daemon().State, "what needs no restart is no change")
	p.tables["consent"] = "timeout = \"30s\"\n"
	assert.True(t, daemon().Unseen)
}

// A daemon that can't write its audit refuses every request.
func TestTheDaemonsAudit(t *testing.T) {
	var d Doctor
	d.cfg, d.bad, d.Socket = config.Default(), map[string]bool{}, filepath.Join(t.TempDir(), "control.sock")
	serveDaemon(t, d.Socket, idle{}, server.Options{Audit: func() shadow.AuditState {
		return shadow.AuditState{Err: syscall.ENOSPC}
	}})
	d.daemon(t.Context())
	require.NotEmpty(t, d.list)
	assert.Equal(t, Bad, d.list[0].State)
	assert.Contains(t, d.list[0].Found, "no space left on device")
}

// What an ordinary user may not see is no fault of the host's.
func TestWithoutRights(t *testing.T) {
	var d Doctor
	d.bad = map[string]bool{}
	d.host.uid = 1000
	d.failed("x", fmt.Errorf("read: %w", os.ErrPermission), "found", "remedy")
	d.failed("y", os.ErrNotExist, "found", "remedy")
	d.host.uid = 0
	d.failed("z", os.ErrPermission, "found", "remedy")
	assert.Equal(t, []Check{
		{Name: "x", State: Note, Found: "found", Remedy: "run this as root", Unseen: true},
		{Name: "y", State: Bad, Found: "found", Remedy: "remedy"}, {Name: "z", State: Bad, Found: "found", Remedy: "remedy"},
	}, d.list)
}

// A doctor that is interrupted has found nothing out.
func TestInterrupted(t *testing.T) {
	w := ward{testhost.Require(t, testhost.Options{})}
	p := w.well(t)
	startDaemon(t, filepath.Join(p.dir, "control.sock"), idle{})
	p.examine()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	assert.False(t, p.Examine(ctx).Works)
}
