package bus

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"time"
)

// routeTLS is how the servers of gates with the same keys know each other, from both ends: each shows a
// certificate of one key, which is made of the operator's. Nobody else has that key, so it matters neither who
// has signed the certificate nor for which name and time.
func routeTLS(k *Keys) (*tls.Config, error) {
	seed, err := k.operator.Seed()
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, seed)
	mac.Write([]byte("shadow.v1.route"))
	key := ed25519.NewKeyFromSeed(mac.Sum(nil))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<36, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !key.Public().(ed25519.PublicKey).Equal(s.PeerCertificates[0].PublicKey) {
				return errors.New("the other end of a route hasn't the keys of this fleet")
			}
			return nil
		},
	}, nil
}
