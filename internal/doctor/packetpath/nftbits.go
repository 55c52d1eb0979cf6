package packetpath

import "slices"

// masked reads {"&": [SUBJECT, MASK]}.
func masked(left any) (of, mask any, ok bool) {
	pair, _ := field(left, "&").([]any)
	if len(pair) != 2 {
		return nil, nil, false
	}
	return pair[0], pair[1], true
}

// maskedTest tests the TCP flags, and the bits that fragments have and viewers'
// packets don't. Nothing else is understood.
func maskedTest(p packet, of, mask any) []nftTest {
	var values []int
	switch payload := field(of, "payload"); {
	case isFlags(of):
		values = []int{p.flags()}
	case field(payload, "protocol") == "ip" && field(payload, "field") == "frag-off":
		const dontFragment = 0x4000
		values = []int{0, dontFragment}
	}
	bits, ok := flagBits(mask)
	if !ok || values == nil {
		return []nftTest{tells(unclear)}
	}
	var tests []nftTest
	for _, value := range values {
		tests = append(tests, func(right any) truth {
			r, ok := flagBits(right)
			if !ok {
				return unclear
			}
			return boolTruth(value&bits == r)
		})
	}
	return tests
}

// tcpFlags are in the order of their bits (RFC 9293 section 3.1, RFC 3168).
var tcpFlags = []string{"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"}

// flagBits reads flags: a number, a name, a list, or {"|": [FLAGS, FLAGS]}.
func flagBits(v any) (bits int, ok bool) {
	switch v := v.(type) {
	case float64:
		return int(v), true
	case string:
		i := slices.Index(tcpFlags, v)
		return 1 << max(i, 0), i >= 0
	case []any:
		for _, one := range v {
			b, ok := flagBits(one)
			if !ok {
				return 0, false
			}
			bits |= b
		}
		return bits, true
	case map[string]any:
		if list, isList := v["|"].([]any); isList {
			return flagBits(list)
		}
	}
	return 0, false
}
