package wire

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestObject(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:                               "",
		` {"a":1,"b":{"c":null}}` + "\r\n": "",
		``:                                 "not JSON",
		`<html>`:                           "not JSON",
		`{"a":1} {"a":1}`:                  "not JSON",
		`{"a":1}x`:                         "not JSON",
		`{"a":`:                            "not JSON",
		"\ufeff{}":                         "not JSON",
		strings.Repeat("[", 11000) + strings.Repeat("]", 11000): "not JSON",
		`null`: "not a JSON object",
		`[]`:   "not a JSON object",
		`"a"`:  "not a JSON object",
		`12`:   "not a JSON object",
	} {
		members, why := Object([]byte(body))
		if why != want || (members == nil) != (want != "") {
			t.Errorf("%.30q: got %v, %q; want %q", body, members, why, want)
		}
	}
	members, _ := Object([]byte(`{"Token":"other","token":"first","token":"t"}`))
	if got := Text(members["token"]); got != "t" {
		t.Errorf("got %q", got)
	}
}

func TestTexts(t *testing.T) {
	for raw, want := range map[string][2]string{
		``:          {"", ""},
		`null`:      {"", ""},
		`true`:      {"", ""},
		`{"a":1}`:   {"", ""},
		`["a"]`:     {"", ""},
		`"a\u00fc"`: {"aü", "aü"},
		`12`:        {"", "12"},
		`-1.5e3`:    {"", "-1.5e3"},
		`"12"`:      {"12", "12"},
	} {
		if got := [2]string{Text(json.RawMessage(raw)), TextOrNumber(json.RawMessage(raw))}; got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

func TestC09_Lifetimes(t *testing.T) {
	for raw, want := range map[string]time.Duration{
		`30`:                30 * time.Second,
		`0`:                 0,
		`-5`:                0,
		``:                  0,
		`null`:              0,
		`"3600"`:            time.Hour,
		`" 3600\n"`:         time.Hour,
		`3600.5`:            time.Hour,
		`9e2`:               15 * time.Minute,
		`0.9`:               0,
		`1e18`:              math.MaxInt64,
		`"1e18"`:            math.MaxInt64,
		`99999999999999999`: math.MaxInt64,
		`9223372036`:        math.MaxInt64,
		`4611686018`:        4611686018 * time.Second,
		`1e400`:             0,
		`"NaN"`:             0,
		`"Inf"`:             0,
		`"0x1p8"`:           0,
		`"1_000"`:           0,
		`""`:                0,
		`"soon"`:            0,
		`true`:              0,
		`[900]`:             0,
		`{"seconds":900}`:   0,
	} {
		if got := Lifetime(json.RawMessage(raw)); got != want {
			t.Errorf("%s: got %v, want %v", raw, got, want)
		}
	}
}

func FuzzLifetime(f *testing.F) {
	for _, s := range []string{`900`, `"3600"`, `1e18`, `-1`, `null`, `"NaN"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if d := Lifetime(raw); d < 0 || d > 0 && d < time.Second {
			t.Errorf("%q: %v", raw, d)
		}
	})
}
