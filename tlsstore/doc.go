// Package tlsstore finds, reads, checks and reloads the certificate and key
// that viewers' wss connections use.
//
// They are two files in one directory, by default /etc/xdl/shadowingssl: shadowingcert.* and
// shadowingkey.*. Their format is detected from the content; the suffix only decides which of
// several files is used.
//
//	store := tlsstore.Store{}
//	config, err := store.TLSConfig("vda1.corp")
//	if err != nil {
//		return err // says what is wrong and what to do
//	}
//	ln = tls.NewListener(ln, config)
//
// The files are read at every call, so the next viewer gets a renewed certificate, and an unusable
// one is reported immediately. A config in use also picks up changed files within a second, but
// keeps its current pair if the new one is unusable; [Store.OnReload] reports both.
//
// # What is accepted
//
// Certificates in PEM or DER, in any order: the one that matches the key is sent first, followed by
// its CA certificates. Roots and duplicates are left out, and so are certificates outside the
// chain, with a warning. If two match the key, the one that expires last is used.
//
// The key in PEM or DER: PKCS #8, PKCS #1 or SEC 1, with RSA, ECDSA or Ed25519;
// or PKCS #8 encrypted with PBES2 (AES or 3DES in CBC mode; PBKDF2 with SHA-1
// or SHA-256, or scrypt). Without a shadowingkey.* the key is taken from the
// certificate's file.
//
// PKCS #12 with key and chain, for either file, as openssl makes it by default
// or with -legacy. Without a passphrase the empty one is tried first.
//
// Everything else is refused with an error that says what was found and how to convert it: PEM's
// own old encryption, PKCS #7, OpenSSH's keys and OpenSSL's TRUSTED CERTIFICATE.
//
// # The passphrase
//
// It is read from the first of these that exists, without the end of line:
//
//   - the systemd credential shadowingpassphrase, that is the file of this name
//     in the directory that $CREDENTIALS_DIRECTORY names (or, for others than
//     the service, [Store.Credentials]), which the unit gets
//     with LoadCredential=shadowingpassphrase:/some/file
//     (or LoadCredentialEncrypted=);
//   - the file shadowingpassphrase beside the key, for which the key's rules of
//     owner and mode hold.
//
// It can't be passed as an argument or in an environment variable.
//
// # Which of several files
//
// The suffixes .pem .crt .cer .key .der .pfx .p12 are preferred in this order, whatever their case,
// then all others by name; a warning names the unused files. Copies that editors and package
// managers leave (~ .bak .old .orig .save .swp .swo .swn .tmp .rpmsave .rpmnew .rpmorig, with or
// without a number after it, .dpkg-*, and a number after another suffix) are ignored.
//
// # Who may own the files
//
// The files and every directory on the way to them, symbolic links resolved, must belong to root or
// to the user this process runs as, and nobody else may be able to write to them; a directory with
// the sticky bit, as /tmp, passes above the store. The key must not be readable by others: mode
// 0600 or less, or, if it is root's, 0640 with a group that is root's or this process's. The open
// file is checked, so that it can't be exchanged between check and use.
//
// # What is checked
//
// Errors, which prevent any use: the key matches no certificate; the certificate has expired or
// isn't valid yet; it or a CA certificate is signed by another certificate with a hash weaker than
// SHA-256 (a self-signature is ignored, since it proves nothing); it isn't for servers; or its key
// is too short or of a kind that TLS can't use.
//
// Warnings, since browsers decide that, or some of them, or the administrator's own: the
// certificate doesn't name the host, or only in its Common Name, which the documentation of the
// feature allows; it is self-signed; a CA certificate is missing, has expired or isn't a CA's; its
// key is RSA with less than 2048 bits, on P-521 or Ed25519; its key usage doesn't permit
// signatures; it is valid for more than 825 days. To a [Store] that is Strict these are errors. An
// issuer that isn't in the file is looked up among the roots that this machine trusts.
//
// The file testdata/certs/findings.txt of this module shows what Chromium does with each.
package tlsstore
