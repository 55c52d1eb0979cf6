package anontls

// fields are a message that is taken apart (§4). Whoever is done asks done.
type fields struct {
	b     []byte
	short bool // a field was longer than the message
}

// next are n bytes; nil if there are fewer.
func (f *fields) next(n int) []byte {
	if f.short = f.short || n > len(f.b); f.short {
		return nil
	}
	p := f.b[:n]
	f.b = f.b[n:]
	return p
}

// number is one of n bytes; 0 if there are fewer.
func (f *fields) number(n int) (v int) {
	for _, b := range f.next(n) {
		v = v<<8 | int(b)
	}
	return v
}

// vector is one whose length has n bytes.
func (f *fields) vector(n int) []byte { return f.next(f.number(n)) }

// done reports whether the message had all that was asked of it, and nothing more.
func (f *fields) done() bool { return !f.short && len(f.b) == 0 }
