package exchange

import (
	"encoding/binary"
	"errors"
	"time"
)

const (
	recordVersion = 2

	recordToken   = 1
	recordRefusal = 2
)

var (
	errRecordFormat = errors.New("decode record: invalid format")
	errNoRecord     = errors.New("encode record: neither a token nor a refusal")
)

// recordHeader is the start of an encoded Record, in big-endian order. The text of the
// token follows, or the code of the refusal. Times are in Unix nanoseconds.
type recordHeader struct {
	Version, Kind uint8
	Until         int64
	At            int64 // when the token was issued, or the refusal was cached

	// Of a token.
	Life  uint32
	Count uint8
	Slots [maxSlots]lifetimeSlot

	// Of a refusal.
	RetryAfter time.Duration
}

// AppendBinary implements encoding.BinaryAppender, for stores outside this process. The
// encoding is neither encrypted nor authenticated: the store must seal it.
//
// AppendBinary fails for records that must not be repeated to another caller: an empty
// Record, and a failure that is not a refusal. Of a refusal it encodes Code, RetryAfter
// and the time at which it was cached. The details are only in the log of the replica
// that got the refusal.
func (r Record) AppendBinary(b []byte) ([]byte, error) {
	h, text := recordHeader{Version: recordVersion, Until: r.Until.UnixNano()}, ""
	switch g, refusal := r.Token, r.Err; {
	case g != nil && refusal == nil:
		h.Kind, h.At, h.Life, h.Count, h.Slots = recordToken, g.issuedAt, g.life, uint8(g.count), g.slots
		text = g.text
	case g == nil && refusal != nil && refusal.isRefusal():
		at := refusal.at
		if at.IsZero() {
			at = time.Now() // the engine has not cached it before
		}
		h.Kind, h.At, h.RetryAfter = recordRefusal, at.UnixNano(), refusal.RetryAfter
		text = string(refusal.Code)
	default:
		return b, errNoRecord
	}
	b, err := binary.Append(b, binary.BigEndian, h)
	return append(b, text...), err
}

// DecodeRecord decodes the output of Record.AppendBinary. It returns an error for
// another version, and for data that would not be safe to use. The Record does not
// reference data. DecodeRecord does not check whether the Record has expired.
func DecodeRecord(data []byte) (Record, error) {
	var h recordHeader
	n, err := binary.Decode(data, binary.BigEndian, &h)
	if err != nil || h.Version != recordVersion {
		return Record{}, errRecordFormat
	}
	r, text := Record{Until: time.Unix(0, h.Until)}, string(data[n:])
	switch h.Kind {
	case recordToken:
		r.Token = &Token{text: text, issuedAt: h.At, life: h.Life, count: uint32(h.Count), slots: h.Slots}
		if !r.Token.slotsAreInText() {
			return Record{}, errRecordFormat
		}
	case recordRefusal:
		r.Err = &Error{Code: Code(text), RetryAfter: h.RetryAfter, at: time.Unix(0, h.At)}
		if !r.Err.isRefusal() {
			return Record{}, errRecordFormat
		}
	default:
		return Record{}, errRecordFormat
	}
	return r, nil
}

// slotsAreInText reports whether AppendJSON can slice the text at the slots.
func (g *Token) slotsAreInText() bool {
	if g.count > maxSlots {
		return false
	}
	from := uint32(0)
	for _, slot := range g.slots[:g.count] {
		if slot.At < from || slot.At > uint32(len(g.text)) {
			return false
		}
		from = slot.At
	}
	return true
}
