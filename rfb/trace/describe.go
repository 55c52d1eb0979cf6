package trace

import (
	"fmt"
	"reflect"
	"strings"

	"vda.internal/shadow/rfb"
	"vda.internal/shadow/rfb/internal/proto"
)

// fields are the fields of a message or a body that aren't zero, for people:
// " Down=true Keysym=0xff0d". Lists are told by their length, but for short
// ones of what has a name.
func fields(v any) string {
	var b strings.Builder
	m := reflect.Indirect(reflect.ValueOf(v))
	if !m.IsValid() {
		return ""
	}
	for i := range m.NumField() {
		if f := m.Field(i); m.Type().Field(i).IsExported() && !f.IsZero() {
			fmt.Fprintf(&b, " %s=%s", m.Type().Field(i).Name, field(f))
		}
	}
	return b.String()
}

func field(f reflect.Value) string {
	if s, ok := f.Interface().(fmt.Stringer); ok {
		return strings.ReplaceAll(s.String(), " ", "_")
	}
	switch f.Kind() {
	case reflect.Slice:
		if f.Type().Elem() == reflect.TypeFor[rfb.Encoding]() {
			return strings.ReplaceAll(fmt.Sprint(f.Interface()), " ", ",")
		}
		if f.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Sprintf("%d_bytes", f.Len())
		}
		return fmt.Sprintf("%d_entries", f.Len())
	case reflect.String:
		return fmt.Sprintf("%q", proto.CleanText(f.String(), proto.MaxName))
	case reflect.Uint32:
		return fmt.Sprintf("%#x", f.Uint())
	case reflect.Interface:
		return "{" + strings.TrimSpace(fields(f.Elem().Interface())) + "}"
	case reflect.Pointer, reflect.Struct:
		return "{" + strings.TrimSpace(fields(f.Interface())) + "}"
	}
	return fmt.Sprint(f.Interface())
}
