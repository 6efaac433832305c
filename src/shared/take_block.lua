-- Takes a block of a rate that nodes share: GCRA, as in `src/admission/rate.rs`, by the clock of Redis.
-- KEYS[1]: its state, the time in microseconds at which all that was taken is earned.
-- ARGV: how many in a minute; how many were given out elsewhere; how many are returned; how many are wanted.
-- Answers how many are granted, and in how many microseconds all that was taken is earned.
local minute = 60000000
local limit, owed, returned, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function cost(count)
  return math.floor(count * minute / limit + 0.5)
end

-- Never further ahead than a minute, also where the clock was set back.
local state = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
state = math.min(math.max(state, now) + cost(owed), now + minute)
state = math.max(state - cost(returned), now)
-- Microseconds are not enough for a whole number of each rate: a hundredth may be missing.
local left = math.floor((now + minute - state) * limit / minute + 0.01)
local granted = math.max(math.min(wanted, left), 0)
state = state + cost(granted)
redis.call('SET', KEYS[1], string.format('%.0f', state), 'PX', math.ceil((state - now) / 1000) + 1000)
return {granted, state - now}
