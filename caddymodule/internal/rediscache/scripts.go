package rediscache

import "github.com/redis/rueidis"

// Each script has one key, so that it works in a cluster, and leaves none
// without an end. They are made by New and not when the package is loaded:
// naming a script takes SHA-1, which a process may forbid that has no store.
type scripts struct{ put, forget, claim, settle *rueidis.Lua }

func newScripts() scripts {
	return scripts{
		put:    rueidis.NewLuaScript(scriptPut),
		forget: rueidis.NewLuaScript(scriptForget),
		claim:  rueidis.NewLuaScript(scriptClaim),
		settle: rueidis.NewLuaScript(scriptSettle),
	}
}

// The user's hash has a field for each kind of token, and markField if the user
// was forgotten lately.
const (
	markField = "g"
	maxKinds  = "8" // per user, as in memory
)

// scriptPut keeps a kind of token if the mark is the one that was seen, and
// reports that. A life of 0 drops the kind. With more than so many kinds the one
// goes that ends first (its end stands in the value's header). With a channel,
// the message is published.
//
//	KEYS user  ARGV mark, field, value, life in ms, most kinds, channel, message
const scriptPut = `
local user, mark, field, life = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[4])
local now = redis.pcall('HGET', user, 'g')
if type(now) == 'table' then
	redis.call('DEL', user)
	now = false
end
if (now or '') ~= mark then
	return 0
end
if life <= 0 then
	redis.call('HDEL', user, field)
else
	redis.call('HSET', user, field, ARGV[3])
	if redis.call('PTTL', user) < life then
		redis.call('PEXPIRE', user, life)
	end
	local most = tonumber(ARGV[5])
	if now then
		most = most + 1
	end
	if redis.call('HLEN', user) > most then
		local all, first, drop = redis.call('HGETALL', user), nil, nil
		for i = 1, #all, 2 do
			if all[i] ~= 'g' and all[i] ~= field then
				local a, b, c, d = string.byte(all[i + 1], 6, 9)
				local ends = d and ((a * 256 + b) * 256 + c) * 256 + d or 0
				if not first or ends < first then
					first, drop = ends, all[i]
				end
			end
		end
		if drop then
			redis.call('HDEL', user, drop)
		end
	end
end
if ARGV[6] ~= '' then
	redis.call('PUBLISH', ARGV[6], ARGV[7])
end
return 1
`

// scriptForget drops a user and leaves a mark, so that nothing can be put that
// was under way. A store that is full still drops and publishes; if it could not
// leave the mark (newer ones can, after they have dropped something), it says so.
//
//	KEYS user  ARGV mark, its life in ms, channel, message
const scriptForget = `
redis.call('DEL', KEYS[1])
local left = redis.pcall('HSET', KEYS[1], 'g', ARGV[1])
if type(left) ~= 'table' then
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
if type(left) == 'table' then
	return left
end
return 1
`

// scriptClaim sets a marker if there is none, and returns the one there is and
// how long it lasts. One without an end gets one. What is no marker is taken for
// one of a sign-up that runs.
//
//	KEYS marker  ARGV value, its life in ms
const scriptClaim = `
local now = redis.pcall('GET', KEYS[1])
if not now then
	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
	return {'', ARGV[2]}
end
if type(now) == 'table' then
	now = '?'
end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	left = ARGV[2]
end
return {now, tostring(left)}
`

// scriptSettle puts another marker in place of one, or of none; an empty one
// drops it. Markers of others stay, unless it is said to win.
//
//	KEYS marker  ARGV the old one, the new one, its life in ms, '1' to win
const scriptSettle = `
if ARGV[4] ~= '1' then
	local now = redis.pcall('GET', KEYS[1])
	if now and now ~= ARGV[1] then
		return 0
	end
end
if ARGV[2] == '' then
	return redis.call('DEL', KEYS[1])
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
`
