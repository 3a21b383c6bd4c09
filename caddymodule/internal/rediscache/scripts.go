package rediscache

import "github.com/redis/go-redis/v9"

// scripts are the Lua scripts. Each has one key, so that it works in a cluster, and
// leaves no key without an expiry. New creates them, not the initialization of the
// package: go-redis computes a SHA-1 for each, which may be forbidden in a process that
// uses no store.
type scripts struct{ put, evict, release *redis.Script }

func newScripts() scripts {
	return scripts{
		put:     redis.NewScript(scriptPut),
		evict:   redis.NewScript(scriptEvict),
		release: redis.NewScript(scriptRelease),
	}
}

// The user's hash has a field for each kind of token, and tombstoneField if the user
// was evicted recently.
const (
	tombstoneField = "g"
	maxVariants    = "8" // per user, as in memcache
)

// scriptPut stores a kind of token if the tombstone still is the one that was seen, and
// returns 1 if so, else 0. A life of 0 deletes the kind. If the user has more than the
// maximum number of kinds, another kind is deleted. If channel is not empty, the
// message is published.
//
//	KEYS user  ARGV tombstone, field, value, life in ms, most kinds, channel, message
const scriptPut = `
local user, field, life = KEYS[1], ARGV[2], tonumber(ARGV[4])
local now = redis.pcall('HGET', user, 'g')
if type(now) == 'table' then
	redis.call('DEL', user)
	now = false
end
if (now or '') ~= ARGV[1] then
	return 0
end
if life <= 0 then
	redis.call('HDEL', user, field)
else
	redis.call('HSET', user, field, ARGV[3])
	if redis.call('PTTL', user) < life then
		redis.call('PEXPIRE', user, life)
	end
	if redis.call('HLEN', user) > tonumber(ARGV[5]) + (now and 1 or 0) then
		for _, kind in ipairs(redis.call('HKEYS', user)) do
			if kind ~= 'g' and kind ~= field then
				redis.call('HDEL', user, kind)
				break
			end
		end
	end
end
if ARGV[6] ~= '' then
	redis.call('PUBLISH', ARGV[6], ARGV[7])
end
return 1
`

// scriptEvict deletes a user and leaves a tombstone, so that running exchanges cannot
// put a token. If the tombstone is empty, nothing is left. A store that is full still
// deletes and publishes. If it cannot store the tombstone, the script returns that
// error. (Newer servers can store it after they have deleted something.)
//
//	KEYS user  ARGV tombstone, its life in ms, channel, message
const scriptEvict = `
redis.call('DEL', KEYS[1])
local left = 1
if ARGV[1] ~= '' then
	left = redis.pcall('HSET', KEYS[1], 'g', ARGV[1])
	if type(left) ~= 'table' then
		redis.call('PEXPIRE', KEYS[1], ARGV[2])
	end
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return left
`

// scriptRelease replaces the value of a lock. An empty new value deletes the lock. A
// lock with another value than the old one stays.
//
//	KEYS lock  ARGV the old value, the new one, its life in ms
const scriptRelease = `
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
if ARGV[2] == '' then
	return redis.call('DEL', KEYS[1])
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
`
