package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// strictly decodes one JSON object without unknown members and with nothing behind it. A password
// never gets into the error.
func strictly(data []byte, v any) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '{' {
		return errors.New("it isn't a JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return errors.New(e.Field + " isn't a " + e.Type.String())
		}
		if _, ok := errors.AsType[*json.SyntaxError](err); ok || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("it isn't valid JSON")
		}
		return errors.New("it has an unknown member")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one object")
	}
	return nil
}
