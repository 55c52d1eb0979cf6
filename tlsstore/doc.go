// Package tlsstore finds, reads and checks the certificate and key that
// viewers' wss connections use.
//
// They are two files in one directory, by default /etc/xdl/shadowingssl:
// shadowingcert.* and shadowingkey.*. What they hold is told from their
// content; the suffix only decides which of several is taken.
//
//	store := tlsstore.Store{}
//	config, err := store.TLSConfig("vda1.corp")
//	if err != nil {
//		return err // says what is wrong and what to do
//	}
//	ln = tls.NewListener(ln, config)
//
// The files are read at every call, so that a renewed certificate counts from
// the next viewer on, and one that can't be used is noticed at once.
//
// # What is accepted
//
// PEM: the certificate that belongs to the key first, then the intermediate
// ones; the root isn't needed. The key is unencrypted PKCS #8 (PRIVATE KEY),
// PKCS #1 (RSA PRIVATE KEY) or SEC 1 (EC PRIVATE KEY). Without a
// shadowingkey.* the key may be in the certificate's file. Everything else is
// refused with a sentence that says what was found and how to convert it.
//
// # Which of several files
//
// The suffixes .pem .crt .cer .key .der .pfx .p12 are preferred in this order,
// in any case, then all others by name. Copies that editors and package
// managers leave (~ .bak .old .orig .save .swp .tmp .rpmsave .rpmnew .rpmorig
// .dpkg-*) don't count.
//
// # Who may own the files
//
// The files and every directory on the way to them, symbolic links resolved,
// must belong to root or to the user this process runs as, and nobody else may
// be able to write to them; a directory with the sticky bit, as /tmp, passes
// above the store. The key must not be readable by others: mode 0600 or less,
// or, if it is root's, 0640 with a group that is root's or this process's.
// What is judged is the open file, so that it can't be swapped in between.
//
// # What is checked
//
// The certificate belongs to the key and is valid now, and the key is long
// enough for TLS. That it names the host is a warning only, since browsers
// decide that, and the documentation of the feature allows a certificate that
// has the name in its Common Name alone.
package tlsstore
