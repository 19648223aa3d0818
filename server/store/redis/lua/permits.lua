#!lua flags=allow-oom
-- permits: how many requests of a kind may go out now, counted over all copies; base/quota.h says how. At maxmemory too: it is on the
-- way to what makes room.
-- KEYS[1] "fo:{shop}:"; ARGV kind, account, milliseconds for which the account takes nothing (0: nothing is known of that), how many
-- are wanted, slots of a window, then for each window how many at most and its length in ms.
-- Returns {granted, ms until it is worth asking again, the window that is full, counted from 0, ms for which the account is shut}.
local shop, kind, account = KEYS[1], ARGV[1], ARGV[2]
local shut_ms, want, slots = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local shut = shop .. 'shut:' .. account
local left = math.max(0, redis.call('PTTL', shut))
if shut_ms > left then
    redis.call('SET', shut, '1', 'PX', shut_ms)
    left = shut_ms
end
if left > 0 then
    return {0, left, 0, left}
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local granted, windows = want, {}

for i = 6, #ARGV, 2 do
    local w = {most = tonumber(ARGV[i]), key = shop .. 'q:' .. kind .. ':' .. ARGV[i + 1], slot_ms = math.ceil(ARGV[i + 1] / slots), used = 0}
    w.newest = math.floor(now / w.slot_ms)
    w.oldest = w.newest
    local seen = redis.call('HGETALL', w.key)
    for k = 1, #seen, 2 do
        local slot = tonumber(seen[k])
        if slot < w.newest - slots then
            redis.call('HDEL', w.key, seen[k])
        else
            w.used = w.used + tonumber(seen[k + 1])
            w.oldest = math.min(w.oldest, slot)
        end
    end
    granted = math.max(0, math.min(granted, w.most - w.used))
    windows[#windows + 1] = w
end

local wait, full = 0, 0
for i, w in ipairs(windows) do
    if granted > 0 then
        redis.call('HINCRBY', w.key, string.format('%.0f', w.newest), granted)
        redis.call('PEXPIRE', w.key, (slots + 2) * w.slot_ms)
    end
    local room = (w.oldest + slots + 1) * w.slot_ms - now
    if granted < want and w.used + granted >= w.most and room > wait then
        wait, full = room, i - 1
    end
end
return {granted, wait, full, 0}
