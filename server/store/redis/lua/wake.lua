#!lua flags=allow-oom
-- wake: lanes in back-off are due, as if for a while, a slice per call; leased lanes keep their time.
-- KEYS[1] "fo:{shop}:"; ARGV when the lanes of this slice are due from, '' for the first; at most so many; and for how many ms.
-- Returns from when those of the next slice are due; '' when this was the last. It is a time and no number of lanes: leases end meanwhile.
local shop = KEYS[1]
local from, most = ARGV[1], ARGV[2]
local due = shop .. 'due'

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if from == '' then
    from = string.format('(%.0f', now)
end

local lanes = redis.call('ZRANGE', due, from, '+inf', 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
local woken = 0
for i = 1, #lanes, 2 do
    if redis.call('HEXISTS', shop .. 'own', lanes[i]) == 0 then
        redis.call('ZADD', due, now - ARGV[3], lanes[i])
        woken = woken + 1
    end
end
if #lanes < 2 * most then
    return ''
end
local last = lanes[#lanes]
return last == from and woken == 0 and '(' .. last or last  -- the leased ones of that moment are seen again, unless they filled a slice
