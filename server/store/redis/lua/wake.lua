#!lua flags=allow-oom
-- wake: lanes in back-off are due, as if for a while, a slice per call; leased lanes keep their time.
-- KEYS[1] "fo:{shop}:"; ARGV lanes to skip (leased ones seen in earlier slices), at most so many, and for how many ms.
-- Returns {lanes seen, leased ones among them}.
local shop = KEYS[1]
local skip, most = ARGV[1], ARGV[2]
local due = shop .. 'due'

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local leased = 0
local lanes = redis.call('ZRANGE', due, string.format('(%.0f', now), '+inf', 'BYSCORE', 'LIMIT', skip, most)
for _, lane in ipairs(lanes) do
    if redis.call('HEXISTS', shop .. 'own', lane) == 1 then
        leased = leased + 1
    else
        redis.call('ZADD', due, now - ARGV[3], lane)
    end
end
return {#lanes, leased}
