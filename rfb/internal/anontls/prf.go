package anontls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// A suite is a cipher suite: DH_anon, and how the stream is encrypted then.
type suite struct {
	id     uint16
	keyLen int // of AES
	hash   func() hash.Hash
}

// suites are those that are offered, the preferred one first: for the longer key OpenSSL takes a group of
// 3,072 bits by itself, for the shorter one a group of 1,024.
var suites = []suite{
	{0x00a7, 32, sha512.New384}, // TLS_DH_anon_WITH_AES_256_GCM_SHA384
	{0x00a6, 16, sha256.New},    // TLS_DH_anon_WITH_AES_128_GCM_SHA256
}

// prf is TLS's pseudorandom function (§5).
func (s suite) prf(secret []byte, label string, seed []byte, n int) []byte {
	seed = append([]byte(label), seed...)
	mac := hmac.New(s.hash, secret)
	sum := func(parts ...[]byte) []byte {
		mac.Reset()
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

// digest is the hash of the handshake so far.
func (s suite) digest(messages []byte) []byte {
	h := s.hash()
	h.Write(messages)
	return h.Sum(nil)
}

const (
	masterLen = 48
	finishLen = 12
	saltLen   = 4 // of the nonce, which both sides know (RFC 5288 §3)
)

// master is the master secret: extended by the handshake up to ClientKeyExchange (RFC 7627 §4), or of the
// random numbers only.
func (s suite) master(premaster, client, server, messages []byte, extended bool) []byte {
	if extended {
		return s.prf(premaster, "extended master secret", s.digest(messages), masterLen)
	}
	return s.prf(premaster, "master secret", append(append([]byte(nil), client...), server...), masterLen)
}

// keys are the ciphers of both directions (§6.3).
func (s suite) keys(master, client, server []byte) (ofClient, ofServer half, err error) {
	b := s.prf(master, "key expansion", append(append([]byte(nil), server...), client...), 2*s.keyLen+2*saltLen)
	salts := b[2*s.keyLen:]
	if ofClient, err = newHalf(b[:s.keyLen], salts[:saltLen]); err == nil {
		ofServer, err = newHalf(b[s.keyLen:2*s.keyLen], salts[saltLen:])
	}
	return ofClient, ofServer, err
}

// finish is a Finished's content (§7.4.9).
func (s suite) finish(master []byte, label string, messages []byte) []byte {
	return s.prf(master, label, s.digest(messages), finishLen)
}

func newHalf(key, salt []byte) (half, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return half{}, err
	}
	aead, err := cipher.NewGCM(block)
	h := half{aead: aead}
	copy(h.nonce[:], salt)
	return h, err
}
