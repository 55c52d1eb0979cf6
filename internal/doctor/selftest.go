package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"vda.internal/shadow"
	"vda.internal/shadow/consent"
	"vda.internal/shadow/internal/host/testhost"
	"vda.internal/shadow/internal/parts"
	"vda.internal/shadow/rfb"
)

// selfTestTime bounds the last check: the start of an X server and of x11vnc,
// and one picture.
const selfTestTime = 40 * time.Second

// selfTest shadows a virtual display as a viewer would see it: through a port
// of the range, with the configured certificate, token and all. Its name isn't
// resolved, and no firewall is passed.
func (d *Doctor) selfTest(ctx context.Context) {
	const name = "self-test"
	switch {
	case d.cfg.Source.Kind == "dial":
		d.note(name, "a picture that is dialled can't be tried out on a virtual display", "nothing: the server was greeted above")
		return
	case d.bad["picture"], d.bad["certificate"], d.bad["ports"]:
		d.note(name, "not tried, because of what is said above", "try again when that is mended")
		return
	case !d.host.xvfb:
		d.note(name, "not tried: there is no Xvfb", "install it to have a whole shadow tried out: apt-get install xvfb, or dnf install xorg-x11-server-Xvfb")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, selfTestTime)
	defer cancel()
	desktop, err := testhost.Start(ctx, testhost.Options{Width: 320, Height: 240})
	if err != nil {
		d.note(name, "not tried, since there is no virtual display: "+words(err), "try again; if it stays so, see that Xvfb works")
		return
	}
	defer desktop.Close()
	took, err := d.shadow(ctx, desktop)
	if err != nil {
		d.broken(name, "a shadow of a virtual display failed: "+words(err), "look at what is marked above, and at shadowd's log")
		return
	}
	d.ok(name, fmt.Sprintf("a virtual display was shadowed from the request to the first picture, which came %d ms after Yes", took.Milliseconds()))
}

// shadow runs one and returns how long it took from Yes to the picture.
func (d *Doctor) shadow(ctx context.Context, desktop *testhost.Desktop) (took time.Duration, err error) {
	source, err := parts.Source(d.cfg)
	if err != nil {
		return 0, err
	}
	m, err := shadow.New(shadow.Config{
		Sessions:     throwAway{desktop},
		Prompter:     consent.Allow{}, // of a display that nobody sees
		Source:       source,
		Ports:        parts.Ports(d.cfg),
		Certificates: d.store(),
		Settings: func(context.Context) (shadow.Settings, error) {
			return shadow.Settings{EnableSessionShadowing: true, ShadowingUseSSL: d.tls && !d.seal}, nil
		},
		Host: cmp.Or(d.fqdn, "localhost"),
	})
	if err != nil {
		return 0, err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
		defer cancel()
		err = errors.Join(err, m.Shutdown(end))
	}()
	began := time.Now()
	grant, err := m.Shadow(ctx, shadow.Request{Session: throwAwayID, Admin: "shadowctl doctor"})
	if err != nil {
		return 0, err
	}
	if err := d.view(ctx, grant); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// view connects as a viewer and waits for the first picture.
func (d *Doctor) view(ctx context.Context, grant *shadow.Grant) error {
	var config *tls.Config
	if grant.Scheme == "wss" {
		// What browsers think of the certificate was judged by itself.
		config = &tls.Config{ServerName: grant.Host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	}
	address := net.JoinHostPort(viewHost(d.cfg.Ports.Listen), strconv.Itoa(grant.Port))
	conn, err := dialWebSocket(ctx, address, config, grant.URL)
	if err != nil {
		return err
	}
	defer conn.Close()
	server, err := rfb.Connect(ctx, conn)
	if err != nil {
		return err
	}
	return firstPicture(server)
}

// viewHost is where a viewer on this host finds what listens on an address.
func viewHost(listen string) string {
	addr, err := netip.ParseAddr(listen)
	switch {
	case err != nil, addr == netip.IPv4Unspecified():
		return "127.0.0.1"
	case addr.IsUnspecified():
		return "::1"
	}
	return listen
}

const throwAwayID = "self-test"

// throwAway is a Resolver that knows one session.
type throwAway struct{ desktop *testhost.Desktop }

func (t throwAway) Session(context.Context, string) (*shadow.Session, error) {
	id := t.desktop.Identity
	return &shadow.Session{
		ID: throwAwayID, User: throwAwayID, UID: id.UID, GID: id.GID, Groups: id.Groups,
		Display: t.desktop.Display, Xauthority: t.desktop.Xauthority, Type: "x11",
	}, nil
}

func (t throwAway) Sessions(ctx context.Context) ([]*shadow.Session, error) {
	s, err := t.Session(ctx, throwAwayID)
	return []*shadow.Session{s}, err
}
