package testhost

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Families of an .Xauthority entry (Xauth.h).
const (
	familyLocal = 256    // this host's name and a display number
	familyWild  = 0xffff // any host
)

const cookieName = "MIT-MAGIC-COOKIE-1"

// cookie is the secret of one display and the file that its server reads.
type cookie struct {
	secret []byte
	file   string
}

// newCookie writes a fresh cookie to the file the X server is started with,
// before there is a display number.
func (d *Desktop) newCookie() (cookie, error) {
	c := cookie{secret: make([]byte, 16), file: filepath.Join(d.dir, "server.auth")}
	rand.Read(c.secret)
	return c, d.writePrivate(c.file, xauthEntry(nil, familyWild, "", "", c.secret))
}

// writeXauthority writes the clients' file: an entry for this host's name, as
// display managers write it, and one for any name, in case the name changes.
func (d *Desktop) writeXauthority(c cookie, display int) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	number := strconv.Itoa(display)
	entries := xauthEntry(nil, familyLocal, host, number, c.secret)
	entries = xauthEntry(entries, familyWild, "", number, c.secret)
	path := filepath.Join(d.dir, "Xauthority")
	return path, d.writePrivate(path, entries)
}

// xauthEntry appends one entry: a family and four counted strings, big-endian
// (Xauth(7), libXau AuWrite.c).
func xauthEntry(b []byte, family uint16, address, display string, secret []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, family)
	for _, s := range []string{address, display, cookieName, string(secret)} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b
}

// writePrivate writes a file that only the desktop's user can read.
func (d *Desktop) writePrivate(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("writing the cookie: %w", err)
	}
	if err := os.Chown(path, int(d.Identity.UID), int(d.Identity.GID)); err != nil {
		return fmt.Errorf("writing the cookie: %w", err)
	}
	return nil
}
