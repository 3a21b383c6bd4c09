package rediscache

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-huma/caddy-huma/internal/redistest"
)

// command is how a command is written.
func command(words ...string) string {
	text := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return text
}

const (
	pong    = "+PONG\r\n"
	confirm = ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
	ended   = ">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n"
)

// spoken is a message on a channel.
func spoken(channel, text string) string {
	return ">3\r\n+message\r\n+" + channel + "\r\n+" + text + "\r\n"
}

func TestDialog(t *testing.T) {
	get, ping, subscribe := command("GET", "a"), command("PING"), command("SUBSCRIBE", "a")
	unsubscribe, role := command("UNSUBSCRIBE"), command("ROLE")
	master := command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m")
	for name, c := range map[string]struct {
		asked, said string
		want        error
	}{
		"an answer each":               {get + ping, "$-1\r\n" + pong, nil},
		"an answer too many":           {get, "$-1\r\n" + pong, errUnasked},
		"an answer to half a command":  {get[:5], "$-1\r\n", errUnasked},
		"an error nobody asked for":    {"", "-ERR max number of clients reached\r\n", errUnasked},
		"a message":                    {"", spoken("a", "b"), nil},
		"a short push":                 {"", ">1\r\n+message\r\n", nil},
		"a push of another kind":       {"", ">2\r\n+invalidate\r\n_\r\n", nil},
		"confirmed":                    {subscribe, confirm, nil},
		"confirmed unasked":            {"", confirm, errUnasked},
		"confirmed twice":              {subscribe, confirm + confirm, errUnasked},
		"confirmed before its turn":    {ping + subscribe, confirm, errUnasked},
		"confirmed after its turn":     {ping + subscribe, pong + confirm, nil},
		"another is confirmed":         {subscribe, strings.Replace(confirm, "$9\r\ns", "$10\r\nps", 1), errUnasked},
		"two channels":                 {command("SUBSCRIBE", "a", "b") + ping, confirm + confirm + pong, nil},
		"two channels, three times":    {command("SUBSCRIBE", "a", "b") + ping, confirm + confirm + confirm, errUnasked},
		"refused":                      {subscribe, "-NOPERM no\r\n", nil},
		"queued":                       {subscribe, "-QUEUED\r\n", errAnswer},
		"answered as RESP2 does":       {subscribe, "*" + confirm[1:], errAnswer},
		"unsubscribed":                 {unsubscribe + ping + get, ended + ended + pong + "$-1\r\n", nil},
		"unsubscribed unasked":         {ping, ended, errUnasked},
		"unsubscribed without a PING":  {unsubscribe, ended + pong, errUnasked},
		"unsubscribing is refused":     {unsubscribe + ping, "-ERR no\r\n", errAnswer},
		"unsubscribed amid a channel":  {command("SUBSCRIBE", "a", "b") + unsubscribe + ping, confirm + ended, errUnasked},
		"moved":                        {get, "-MOVED 1 127.0.0.1:1\r\n", nil},
		"moved nowhere":                {get, "-MOVED 1\r\n", errAnswer},
		"moved nowhere, as an error":   {get, "-ERR ASK 1\r\n", errAnswer},
		"a role":                       {role, "*1\r\n+master\r\n", nil},
		"no role":                      {role, "*0\r\n", errAnswer},
		"a master":                     {master, "*2\r\n+a\r\n+1\r\n", nil},
		"no such master":               {master + master, "_\r\n*-1\r\n", nil},
		"half a master":                {master, "*1\r\n+a\r\n", errAnswer},
		"another sentinel":             {"", spoken("+sentinel", "sentinel id 127.0.0.1 1 @ m 127.0.0.1 2"), nil},
		"no sentinel":                  {"", spoken("+sentinel", "sentinel id 127.0.0.1"), errAnswer},
		"another master":               {"", spoken("+switch-master", "m 127.0.0.1 1 127.0.0.1 2"), nil},
		"no other master":              {"", spoken("+switch-master", "m 127.0.0.1 1 127.0.0.1"), errAnswer},
		"a reboot":                     {"", spoken("+reboot", "master m 127.0.0.1 1"), nil},
		"no reboot":                    {"", spoken("+reboot", "master m"), errAnswer},
		"RESP3 is refused":             {command("HELLO", "3") + command("HELLO", "2"), "", errRESP2},
		"subscriptions without an end": {strings.Repeat(subscribe, maxSpecial+1), "", errMany},
		"many that end":                {strings.Repeat(get, 5000), strings.Repeat("$-1\r\n", 5000), nil},
	} {
		d := newDialog()
		err := d.said([]byte(c.asked))
		if err == nil {
			err = d.heard([]byte(c.said))
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if again := d.heard([]byte(spoken("a", "b"))); err != nil && again == nil {
			t.Errorf("%s: more is let through afterwards", name)
		}
	}
}

// TestDialogAllocatesNothing: it is in the way of every answer.
func TestDialogAllocatesNothing(t *testing.T) {
	d := newDialog()
	get := []byte(command("HMGET", "key", "g", "field"))
	answer := []byte("*2\r\n$-1\r\n$700\r\n" + strings.Repeat("x", 700) + "\r\n")
	if n := testing.AllocsPerRun(100, func() {
		if err := errors.Join(d.said(get), d.heard(answer)); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDialog(b *testing.B) {
	d := newDialog()
	get := []byte(command("HMGET", "key", "g", "field"))
	answer := []byte("*2\r\n$-1\r\n$700\r\n" + strings.Repeat("x", 700) + "\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if d.said(get) != nil || d.heard(answer) != nil {
			b.Fatal(d.err)
		}
	}
}

// TestAServerThatBreaksTheProtocol: it costs its connections, and not the
// process.
func TestAServerThatBreaksTheProtocol(t *testing.T) {
	t.Parallel()
	r := startServer(t)
	p := redistest.Watch(t, r)
	s := ready(t, p.Addr())
	a := s.Account("a")
	put(t, a, "u", "t")
	for i, said := range []string{
		"+OK\r\n", "-ERR unasked\r\n", "$-2\r\n", "$9223372036854775807\r\n", "*-5\r\n", ">1\r\n$-7\r\n",
		"*999999999999999\r\n", "*20000000\r\n", confirm, "_x",
	} {
		p.Say(said)
		eventually(t, 10*time.Second, "it is heard again after "+said, func() bool {
			return look(s.events, func() int { return s.reconnects }) >= i+1
		})
		eventually(t, 10*time.Second, "it is found again after "+said, func() bool {
			_, found, _, err := a.Get(t.Context(), "u", "ios")
			return err == nil && found && s.Up()
		})
	}
}
