package exchange

import (
	"encoding/binary"
	"errors"
	"time"
)

// Binary encoding of Token and Record, for stores outside this process. All numbers are
// big-endian. The encoding is neither encrypted nor authenticated: the store must seal
// it.
const (
	tokenVersion  = 1
	recordVersion = 1

	recordToken   = 1
	recordRefusal = 2

	// maxText is the maximum length of a decoded Token's text in bytes. A response of a
	// service has at most 64 KiB, JSON may escape one byte as six, and there are member
	// names.
	maxText = 7 << 16

	// maxRetryAfter is the maximum RetryAfter of a refusal. Encoding caps it; decoding
	// rejects a longer one.
	maxRetryAfter = 24 * time.Hour

	slotSize    = 4 + 4
	tokenHeader = 1 + 8 + 4 + 1 // version, issuedAt, life, number of slots
)

var (
	errTokenFormat  = errors.New("decode token: invalid format")
	errRecordFormat = errors.New("decode record: invalid format")
	errNoRecord     = errors.New("encode record: neither a token nor a refusal")
)

// AppendBinary implements encoding.BinaryAppender. It never fails.
func (g *Token) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, tokenVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(g.issuedAt))
	b = binary.BigEndian.AppendUint32(b, g.life)
	b = append(b, byte(g.count))
	for _, slot := range g.slots[:g.count] {
		b = binary.BigEndian.AppendUint32(b, slot.at)
		b = binary.BigEndian.AppendUint32(b, slot.life)
	}
	return append(b, g.text...), nil
}

// DecodeToken decodes the output of Token.AppendBinary. It returns an error for any
// other data. The Token does not reference data.
func DecodeToken(data []byte) (*Token, error) {
	if len(data) < tokenHeader || data[0] != tokenVersion || data[tokenHeader-1] > maxSlots {
		return nil, errTokenFormat
	}
	g := &Token{
		issuedAt: int64(binary.BigEndian.Uint64(data[1:])),
		life:     binary.BigEndian.Uint32(data[9:]),
		count:    uint32(data[tokenHeader-1]),
	}
	data = data[tokenHeader:]
	if len(data) < int(g.count)*slotSize {
		return nil, errTokenFormat
	}
	for i := range g.slots[:g.count] {
		g.slots[i] = lifetimeSlot{at: binary.BigEndian.Uint32(data), life: binary.BigEndian.Uint32(data[4:])}
		data = data[slotSize:]
	}
	if len(data) > maxText {
		return nil, errTokenFormat
	}
	if g.text = string(data); !g.wellFormed() {
		return nil, errTokenFormat
	}
	return g, nil
}

// wellFormed reports whether a Builder could have built the Token. It checks what
// AppendJSON and the expiry rely on: a text in braces, slots inside it in ascending
// order, and lifetimes of at most maxLifetime.
func (g *Token) wellFormed() bool {
	n := uint32(len(g.text))
	if n < 2 || g.text[0] != '{' || g.text[n-1] != '}' || g.issuedAt < 0 {
		return false
	}
	from, found := uint32(0), g.life == 0
	for _, slot := range g.slots[:g.count] {
		if slot.at <= from || slot.at >= n || slot.life > uint32(maxLifetime/time.Second) {
			return false
		}
		from, found = slot.at, found || slot.life == g.life
	}
	return found && g.life <= g.slots[0].life
}

// AppendBinary implements encoding.BinaryAppender. It fails for records that must not
// be repeated to another caller: an empty Record, and a failure that is not a refusal.
// Of a refusal it encodes Code, RetryAfter and the time at which it was cached. The
// details are only in the log of the replica that got the refusal.
func (r Record) AppendBinary(b []byte) ([]byte, error) {
	if (r.Token == nil) == (r.Err == nil) {
		return b, errNoRecord
	}
	typ := byte(recordToken)
	if r.Err != nil {
		typ = recordRefusal
	}
	b = append(b, recordVersion, typ)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Until.UnixNano()))
	if r.Err == nil {
		return r.Token.AppendBinary(b)
	}
	if !r.Err.isRefusal() {
		return b, errNoRecord
	}
	at := r.Err.at
	if at.IsZero() {
		at = time.Now() // the engine has not cached it before
	}
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, uint64(max(0, min(r.Err.RetryAfter, maxRetryAfter))))
	return append(b, r.Err.Code...), nil
}

// DecodeRecord decodes the output of Record.AppendBinary. It returns an error for any
// other data. The Record does not reference data. DecodeRecord does not check whether
// the Record has expired.
func DecodeRecord(data []byte) (Record, error) {
	const header = 1 + 1 + 8
	if len(data) < header || data[0] != recordVersion {
		return Record{}, errRecordFormat
	}
	until := int64(binary.BigEndian.Uint64(data[2:]))
	rec := Record{Until: time.Unix(0, until)}
	switch rest := data[header:]; data[1] {
	case recordToken:
		g, err := DecodeToken(rest)
		if err != nil {
			return Record{}, err
		}
		if !believable(g.issuedAt, until) {
			return Record{}, errRecordFormat
		}
		rec.Token = g
	case recordRefusal:
		const times = 8 + 8
		if len(rest) < times {
			return Record{}, errRecordFormat
		}
		at, wait := int64(binary.BigEndian.Uint64(rest)), binary.BigEndian.Uint64(rest[8:])
		if !believable(at, until) || wait > uint64(maxRetryAfter) {
			return Record{}, errRecordFormat
		}
		rec.Err = &Error{Code: Code(rest[times:]), RetryAfter: time.Duration(wait), at: time.Unix(0, at)}
		if !rec.Err.isRefusal() {
			return Record{}, errRecordFormat
		}
	default:
		return Record{}, errRecordFormat
	}
	return rec, nil
}

// believable reports whether a record may be valid from the one time until the other,
// both in Unix nanoseconds: until is not before from, and at most maxLifetime after it.
func believable(from, until int64) bool {
	return from >= 0 && until >= from && until-from <= int64(maxLifetime)
}
