package rediscache

import (
	"strings"
)

// response is a wrong reply with a name.
type response struct {
	name string
	wrongReply
}

func text(name, text string) response { return response{name, wrongReply{text: text}} }

// wrong are replies that are wrong for any command.
var wrong = []response{
	// The types of RESP2. None of them is a valid reply to HELLO.
	text("status", "+OK\r\n"),
	text("empty status", "+\r\n"),
	text("error", "-ERR no\r\n"),
	text("empty error", "-\r\n"),
	text("integer", ":7\r\n"),
	text("no integer", ":seven\r\n"),
	text("huge integer", ":99999999999999999999\r\n"),
	text("bulk string", "$3\r\nabc\r\n"),
	text("empty bulk string", "$0\r\n\r\n"),
	text("null", "$-1\r\n"),
	text("null array", "*-1\r\n"),
	text("empty array", "*0\r\n"),
	text("array of an integer", "*1\r\n:7\r\n"),
	text("array of arrays", "*2\r\n*2\r\n:1\r\n:2\r\n*0\r\n"),
	text("array of nulls", "*3\r\n$-1\r\n*-1\r\n$-1\r\n"),
	text("array of errors", "*2\r\n-ERR a\r\n-MOVED 1 127.0.0.1:1\r\n"),

	// The types of RESP3.
	text("map", "%1\r\n+a\r\n+b\r\n"),
	text("map of a map", "%1\r\n%1\r\n+a\r\n+b\r\n+c\r\n"),
	text("set", "~1\r\n+a\r\n"),
	text("push", ">2\r\n+message\r\n+a\r\n"),
	text("attribute", "|1\r\n+a\r\n+b\r\n"),
	text("null of RESP3", "_\r\n"),
	text("boolean", "#t\r\n"),
	text("float", ",inf\r\n"),
	text("big number", "("+strings.Repeat("9", 1000)+"\r\n"),
	text("verbatim", "=2\r\nab\r\n"),
	text("blob error", "!3\r\nERR\r\n"),
	text("streamed string", "$?\r\n;4\r\nabcd\r\n;0\r\n"),

	// Lengths.
	text("200 GB", "$200000000000\r\nabc"),
	text("200 GB with zeros before", "$"+strings.Repeat("0", 40)+"200000000000\r\nabc"),
	text("200 GB with a sign", "$+200000000000\r\n"),
	text("more than an int64", "$99999999999999999999\r\n"),
	text("negative length", "$-2\r\n"),
	text("no length", "$\r\n"),
	text("10^15 elements", "*999999999999999\r\n"),
	text("10^15 elements with zeros before", "*"+strings.Repeat("0", 40)+"999999999999999\r\n"),
	text("negative number of elements", "*-5\r\n"),
	text("10^15 elements of a map", "%999999999999999\r\n"),
	text("300000 elements of a map", "%300000\r\n"),
	text("10^15 elements of a push", ">999999999999999\r\n"),
	text("10^15 elements in an array", "*1\r\n*999999999999999\r\n"),

	// Large replies, without an announced length.
	{"arrays in arrays", wrongReply{text: strings.Repeat("*1\r\n", 1<<10), endless: true}},
	{"large arrays in arrays", wrongReply{text: strings.Repeat("*32768\r\n", 1<<10), endless: true}},
	{"maps in maps", wrongReply{text: strings.Repeat("%1\r\n", 1<<10), endless: true}},
	{"attributes", wrongReply{text: strings.Repeat("|0\r\n", 1<<10), endless: true}},
	{"pushes", wrongReply{text: strings.Repeat(">1\r\n+a\r\n", 1<<10), endless: true}},
	{"endless line", wrongReply{text: strings.Repeat("x", 4<<10), endless: true}},
	{"endless status", wrongReply{text: "+" + strings.Repeat("x", 4<<10), endless: true}},
	{"endless integer", wrongReply{text: ":" + strings.Repeat("1", 4<<10), endless: true}},
	{"endless responses", wrongReply{text: strings.Repeat("+OK\r\n", 1<<10), endless: true}},

	// Truncated replies.
	{"nothing", wrongReply{ends: true}},
	{"cut in a line", wrongReply{text: "*", ends: true}},
	{"cut in a bulk string", wrongReply{text: "$10\r\nabc", ends: true}},
	{"cut in an array", wrongReply{text: "*2\r\n$1\r\na\r\n", ends: true}},
	{"cut in an end", wrongReply{text: "$1\r\na\r", ends: true}},
	text("silence", ""),
	text("silence in a bulk string", "$10\r\nabc"),
	text("silence in an array", "*2\r\n$1\r\na\r\n"),

	// Redirections.
	text("MOVED without an address", "-MOVED\r\n"),
	text("MOVED without a slot", "-MOVED \r\n"),
	text("MOVED to an empty address", "-MOVED 1 \r\n"),
	text("MOVED to no address", "-MOVED 1 nowhere\r\n"),
	text("MOVED to a socket", "-MOVED 1 /var/run/a.b:1\r\n"),
	text("ASK without an address", "-ASK 1\r\n"),
	text("ASK to no address", "-ASK 1 [::1\r\n"),

	// Other protocols.
	text("HTTP", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
	text("noise", "\x16\x03\x01\x00\xff\x00\n\xfe\x80\r\n\x00"),
	text("no carriage return", "+OK\n"),
	text("empty lines", "\r\n\r\n"),
	text("zeros", strings.Repeat("\x00", 10<<10)),
}

// some returns the wrong replies with these names.
func some(names ...string) (found []response) {
	for _, name := range names {
		for _, a := range wrong {
			if a.name == name {
				found = append(found, a)
			}
		}
	}
	if len(found) != len(names) {
		panic("unknown name of a response")
	}
	return found
}
