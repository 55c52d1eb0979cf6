// Package authority hands the cookie that opens a display on to a program that
// would look for it in its own way: libXau takes an entry by this host's name,
// so that a host which was renamed would be asked with none.
package authority

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vda.internal/shadow/internal/host/xconn"
	"vda.internal/shadow/source/internal/self"
)

// tryTime is how long the X server may take.
const tryTime = 5 * time.Second

// Become is the work of a process with [self.Cookie], which a display, a file with cookies, and a
// program's path and arguments follow. Of these, those that are [self.CookieFile] become the name
// of a file with the cookie that worked, and so does XAUTHORITY. It returns only if that failed:
// the exit status.
func Become(args []string, stderr io.Writer) int {
	if len(args) < 3 {
		fmt.Fprintf(stderr, "%s is for this program's own use\n", self.Cookie.Arg)
		return 2
	}
	display, file, argv := args[0], args[1], append([]string(nil), args[2:]...)
	cookie, err := xconn.Cookie(display, file, tryTime)
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
		return 1
	}
	if private, err := private(cookie); err == nil {
		file = private // else the program looks for itself
	}
	for i := range argv {
		if argv[i] == self.CookieFile {
			argv[i] = file
		}
	}
	_ = os.Setenv("XAUTHORITY", file)
	err = syscall.Exec(argv[0], argv, os.Environ())
	fmt.Fprintf(stderr, "%s: %v\n", argv[0], err)
	return 1
}

// private is a file without a name, with one entry, for any host, which the program inherits.
func private(cookie []byte) (path string, err error) {
	fd, err := unix.MemfdCreate("xauthority", 0)
	if errors.Is(err, unix.ENOSYS) { // Linux before 3.17
		fd, err = unnamed()
	}
	if err != nil {
		return "", err
	}
	if _, err := unix.Write(fd, entry(cookie)); err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), nil
}

// unnamed is a new file, for this user alone, whose name has been removed, and which programs inherit.
func unnamed() (fd int, err error) {
	f, err := os.CreateTemp("", "shadowd-")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return -1, err
	}
	return unix.Dup(int(f.Fd()))
}

// entry is an entry for any host and any display (Xauth.h: FamilyWild). Without a
// cookie there is none.
func entry(cookie []byte) (b []byte) {
	if cookie == nil {
		return nil
	}
	b = binary.BigEndian.AppendUint16(b, 0xffff)
	for _, field := range [][]byte{nil, nil, []byte("MIT-MAGIC-COOKIE-1"), cookie} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(field)))
		b = append(b, field...)
	}
	return b
}
