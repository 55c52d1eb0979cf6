package anontls

import (
	"errors"
	"fmt"
)

// An alert is what one peer tells the other of (§7.2).
type alert uint8

const (
	alertCloseNotify          alert = 0
	alertUnexpectedMessage    alert = 10
	alertBadRecordMAC         alert = 20
	alertRecordOverflow       alert = 22
	alertHandshakeFailure     alert = 40
	alertIllegalParameter     alert = 47
	alertDecodeError          alert = 50
	alertDecryptError         alert = 51
	alertProtocolVersion      alert = 70
	alertInsufficientSecurity alert = 71
	alertInternalError        alert = 80
	alertNoRenegotiation      alert = 100
	alertUnsupportedExtension alert = 110
)

var alertNames = map[alert]string{
	alertUnexpectedMessage:    "unexpected message",
	alertBadRecordMAC:         "bad record MAC",
	alertRecordOverflow:       "record overflow",
	alertHandshakeFailure:     "handshake failure",
	alertIllegalParameter:     "illegal parameter",
	alertDecodeError:          "decode error",
	alertDecryptError:         "decrypt error",
	alertProtocolVersion:      "protocol version",
	alertInsufficientSecurity: "insufficient security",
	alertInternalError:        "internal error",
}

func (a alert) String() string {
	if name := alertNames[a]; name != "" {
		return name
	}
	return fmt.Sprintf("alert %d", uint8(a))
}

// Why a connection failed, besides errors of the connection below. An error wraps one of these.
var (
	ErrProtocol = errors.New("the server's TLS isn't as it has to be")
	ErrRefused  = errors.New("the server refuses TLS")        // by an alert
	ErrUnfit    = errors.New("the server's TLS isn't of use") // too weak, or not what was offered
)

// A fault is an error of ours, and what the server is told of it.
type fault struct {
	alert alert
	err   error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// wrong is a fault of the server's.
func wrong(a alert, format string, args ...any) error {
	return because(ErrProtocol, a, format, args...)
}

func because(kind error, a alert, format string, args ...any) error {
	return &fault{a, fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))}
}
