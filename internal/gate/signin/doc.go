// Package signin knows who somebody is: by name and password from an accounts file ([Accounts]),
// by the word of a proxy ([Header]), from an OpenID provider ([OIDC]), or, for scripts, by a token
// ([Tokens]). Who has signed in carries a [Session] in a sealed cookie; the gate itself remembers
// only who has signed out.
//
//	d := signin.New(signin.Config{Accounts: &signin.Accounts{Path: "/etc/xdl/shadowgate.accounts"}, Sealer: sealer})
//	s, err := d.Identify(r) // ErrSignedOut: nobody is
//
// Everything that is doubtful is nobody: a cookie of an old key or from another address, an
// account that is gone or has another password by now, a header from elsewhere than the proxy.
package signin
