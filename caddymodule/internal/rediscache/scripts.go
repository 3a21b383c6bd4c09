package rediscache

import "github.com/redis/go-redis/v9"

// Each script has one key, so that it works in a cluster, and leaves none
// without an end. They are made by New and not when the package is loaded:
// naming a script takes SHA-1, which a process may forbid that has no store.
type scripts struct{ put, evict, release *redis.Script }

func newScripts() scripts {
	return scripts{
		put:     redis.NewScript(scriptPut),
		evict:   redis.NewScript(scriptEvict),
		release: redis.NewScript(scriptRelease),
	}
}

// The user's hash has a field for each kind of token, and tombstoneField if the user
// was evicted lately.
const (
	tombstoneField = "g"
	maxKinds       = "8" // per user, as in memory
)

// scriptPut keeps a kind of token if the tombstone is the one that was seen, and
// reports that. A life of 0 drops the kind. Of more than so many kinds another one
// goes. With a channel, the message is published.
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

// scriptEvict drops a user and leaves a tombstone, so that nothing can be put that
// was under way; with none, nothing is left. A store that is full still drops and
// publishes; if it could not leave the tombstone (newer ones can, after they have
// dropped something), it says so.
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

// scriptRelease puts another value in place of a lock; an empty one drops it. A
// lock with another value stays.
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
