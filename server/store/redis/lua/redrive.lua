#!lua
-- redrive: a dead job is pending again, at its own place in its lane; never before the head, which may be at work.
-- KEYS[1] "fo:{shop}:"; ARGV id, "1" and plan or "0" and "". Returns 1; 0: it is not dead; -1: there is no such job.
local shop, id, has_plan, plan = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local job = shop .. 'e:' .. id
local state, lane, received = unpack(redis.call('HMGET', job, 'st', 'ln', 'rx'))
if not state then
    return -1
end
if state ~= 'x' then
    return 0
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local list = shop .. 'l:' .. lane

local function later_one()
    for _, behind in ipairs(redis.call('LRANGE', list, 1, -1)) do
        if tonumber(redis.call('HGET', shop .. 'e:' .. behind, 'rx') or 0) > tonumber(received) then
            return behind
        end
    end
end

local behind = later_one()
if behind then
    redis.call('LINSERT', list, 'BEFORE', behind, id)
else
    redis.call('RPUSH', list, id)
end
redis.call('ZADD', shop .. 'due', 'NX', now, lane)
redis.call('ZREM', shop .. 'dead', id)
redis.call('ZADD', shop .. 'pend', received, id)
redis.call('HSET', job, 'st', 'p')
redis.call('HDEL', job, 'rs', 'ft')
if has_plan == '1' then
    redis.call('SET', shop .. 'p:' .. id, plan)
    redis.call('DEL', shop .. 'g:' .. id)
end
return 1
