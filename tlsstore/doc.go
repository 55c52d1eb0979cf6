// Package tlsstore finds, reads, checks and reloads the certificate and key
// that viewers' wss connections use.
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
// the next viewer on, and one that can't be used is noticed at once. A config
// that is in use follows the files too, within a second, but keeps the pair it
// has when the new one is bad; [Store.OnReload] tells of both.
//
// # What is accepted
//
// Certificates in PEM or DER, in any order: the one that belongs to the key is
// put first, then those of the authorities; roots and doubles are left out, and
// so is what doesn't belong to the chain, with a warning. Of two for the same
// key the one that is valid longest is taken.
//
// The key in PEM or DER: PKCS #8, PKCS #1 or SEC 1, with RSA, ECDSA or Ed25519;
// or PKCS #8 encrypted with PBES2 (AES or 3DES in CBC mode; PBKDF2 with SHA-1
// or SHA-256, or scrypt). Without a shadowingkey.* the key is taken from the
// certificate's file.
//
// PKCS #12 with key and chain, for either file, as openssl makes it by default
// or with -legacy. Without a passphrase the empty one is tried first.
//
// Everything else is refused with a sentence that says what was found and how
// to convert it: PEM's own old encryption, PKCS #7, OpenSSH's keys and OpenSSL's
// TRUSTED CERTIFICATE.
//
// # The passphrase
//
// It is the first of these that is there, without the end of its line:
//
//   - the systemd credential shadowingpassphrase, that is the file of this name
//     in the directory that $CREDENTIALS_DIRECTORY names (or, for others than
//     the service, [Store.Credentials]), which the unit gets
//     with LoadCredential=shadowingpassphrase:/some/file
//     (or LoadCredentialEncrypted=);
//   - the file shadowingpassphrase beside the key, for which the key's rules of
//     owner and mode hold.
//
// There is no way to pass it as an argument or in a variable.
//
// # Which of several files
//
// The suffixes .pem .crt .cer .key .der .pfx .p12 are preferred in this order,
// in any case, then all others by name; a warning names those left aside.
// Copies that editors and package managers leave (~ .bak .old .orig .save .swp
// .swo .swn .tmp .rpmsave .rpmnew .rpmorig, with or without a number behind it,
// .dpkg-*, and a number behind another suffix) don't count.
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
// Errors, with which no viewer can be served: the key belongs to no
// certificate, the certificate has expired or isn't valid yet, it or one of the
// authorities' is signed by another with less than SHA-256 (a signature of its own
// vouches for nothing and isn't looked at), it isn't for servers, or its
// key is too short or of a kind that TLS can't use.
//
// Warnings, since browsers decide that, or some of them, or the
// administrator's own: the certificate doesn't name the host, or only in its
// Common Name, which the documentation of the feature allows; it has signed
// itself; an authority's certificate is missing, has expired or isn't an
// authority's; its key is RSA with less than 2048 bits, on P-521 or Ed25519; it
// doesn't let its key sign; it is valid for more than 825 days. To a
// [Store] that is Strict these are errors. Whether an authority that isn't in
// the file is a root is looked up among those that this machine trusts.
//
// What a Chromium does with each is in testdata/certs/findings.txt of this
// module.
package tlsstore
