package masked_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-huma/caddy-huma/caddymodule/internal/masked"
)

const canary = "canary-0123456789"

// TestSecretIsNotPrinted prints a masked text in every possible way, alone and inside
// other values.
func TestSecretIsNotPrinted(t *testing.T) {
	type inner struct {
		Public  masked.String
		private masked.String
	}
	s := masked.New(canary)
	in := inner{s, s}
	for name, v := range map[string]any{
		"value":   s,
		"pointer": &s,
		"struct":  in,
		"nested":  struct{ in *inner }{&in},
		"slice":   []masked.String{s},
		"map":     map[string]masked.String{"k": s},
		"key":     map[masked.String]int{s: 1},
		"error":   fmt.Errorf("outer: %w", errors.New(s.String())),
		"any":     []any{s, &in},
	} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%U", "%c", "%10.5s", "%T"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		b, err := json.Marshal(v)
		if err != nil && name != "key" {
			t.Errorf("%s: %v", name, err)
		}
		out.Write(b)
		log.New(&out, "", 0).Println(v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		_ = template.Must(template.New("t").Parse("{{.}}")).Execute(&out, v)
		for _, enc := range []zapcore.Encoder{
			zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
			zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
		} {
			logger := zap.New(zapcore.NewCore(enc, zapcore.AddSync(&out), zap.DebugLevel))
			logger.Info("m", zap.Any("v", v), zap.Reflect("r", v))
			logger.Sugar().Infow("m", "v", v)
			logger.Sugar().Infof("%v %s", v, v)
		}
		text := strings.ToLower(out.String())
		for _, form := range []string{canary, "0123456789", hex.EncodeToString([]byte("0123456789")), "99 97 110 97 114 121"} {
			if strings.Contains(text, form) {
				t.Errorf("%s: %q is in %s", name, form, out.String())
			}
		}
	}
}

func TestReveal(t *testing.T) {
	for _, text := range []string{"", "a", canary} {
		s := masked.New(text)
		if s.Reveal() != text || s.IsZero() != (text == "") || !s.Equal(masked.New(text)) || s.Equal(masked.New(text+"x")) {
			t.Errorf("%q comes out as %q", text, s.Reveal())
		}
	}
	if got := masked.New("").String(); got != "" {
		t.Errorf("an empty text prints %q", got)
	}
}
