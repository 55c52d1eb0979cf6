package tlsstore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// passphraseName is the name of the file, and of the credential, that holds
// the passphrase of an encrypted key.
const passphraseName = "shadowingpassphrase"

// credentialsVariable names the directory that systemd makes for
// LoadCredential= (systemd.exec(5)). The variable holds no secret.
const credentialsVariable = "CREDENTIALS_DIRECTORY"

// passphrase reads the passphrase: the credential if there is one, else the
// file beside the key. what is what messages call it; empty if there is none.
func (f *found) passphrase() (what string, passphrase []byte, err error) {
	switch {
	case f.named && f.given == nil:
		return "", nil, nil
	case f.named:
		return "the passphrase that was given", f.given, nil
	}
	dirs := []string{f.credentials, f.dir}
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		path := filepath.Join(dir, passphraseName)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		me := self()
		file, err := me.open(path, "passphrase")
		if err != nil {
			return "", nil, err
		}
		if err := me.checkSecret(file); err != nil {
			return "", nil, err
		}
		return "the passphrase in " + path, oneLine(file.data), nil
	}
	return "", nil, nil
}

// oneLine is data without the line end that editors put behind it.
func oneLine(data []byte) []byte {
	data = bytes.TrimSuffix(data, []byte("\n"))
	return bytes.TrimSuffix(data, []byte("\r"))
}

// needsPassphrase refuses a file that nothing is there to open with.
func (f *found) needsPassphrase(file *file, what, remedy string) error {
	give := "give its passphrase"
	if !f.named {
		path := quote(filepath.Join(f.dir, passphraseName))
		give = "write its passphrase into " + path + ", with chmod 600 " + path
	}
	return refuse(Encrypted, nil, what+" in "+file.path+" is encrypted", give+", or "+remedy)
}

// badPassphrase refuses a file that the passphrase, named in words, doesn't open.
func badPassphrase(file *file, what, passphrase string, cause error) error {
	return refuse(BadPassphrase, cause, passphrase+" doesn't open "+what+" in "+file.path,
		"write the right one there, in a single line")
}
