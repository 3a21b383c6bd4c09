package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shapes are the ways in which a code of Human API's may stand in a body,
// whose real shape is not published.
var shapes = []string{"errorCode", "error_code", "code", "error", "message", "type", "nested", "text"}

// wordBody writes a code in one of the shapes.
func wordBody(word, shape, message string) []byte {
	var body map[string]any
	switch shape {
	case "nested":
		body = map[string]any{"error": map[string]any{"code": word, "message": message}}
	case "text":
		body = map[string]any{"message": fmt.Sprintf("%s (%s): see the guide", message, word)}
	default:
		// The member comes last: in the shape "message" it is the message.
		body = map[string]any{"message": message}
		body[shape] = word
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // made of strings
	}
	return text
}

// spelled is a fault whose Code is written out as Status and Body.
func (f Fault) spelled() Fault {
	if f.Code == "" {
		return f
	}
	if f.Status == 0 {
		f.Status = wordStatus[f.Code]
	}
	setDefault(&f.Shape, "errorCode")
	f.Body = string(wordBody(f.Code, f.Shape, "refused on demand"))
	return f
}

// checkCode says what is wrong with Code and Shape.
func (f Fault) checkCode() error {
	_, known := wordStatus[f.Code]
	switch {
	case f.Code == "" && f.Shape != "":
		return errors.New("shape: goes with code")
	case f.Code == "":
		return nil
	case !known:
		return fmt.Errorf("code: %.40q is not one of %s", f.Code, strings.Join(slices.Sorted(maps.Keys(wordStatus)), ", "))
	case f.Shape != "" && !slices.Contains(shapes, f.Shape):
		return fmt.Errorf("shape: %.40q is not one of %s", f.Shape, strings.Join(shapes, ", "))
	case f.Body != "":
		return errors.New("code: not with body")
	case f.Op != OpSession && f.Op != OpID && f.Op != OpConnect:
		return fmt.Errorf("code: only for %s, %s and %s", OpSession, OpID, OpConnect)
	}
	return nil
}
