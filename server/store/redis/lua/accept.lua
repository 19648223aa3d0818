#!lua
-- accept: one webhook, once. Without allow-oom: at maxmemory Redis refuses it before it has any effect.
-- KEYS[1] is "fo:{shop}:". Returns 1, or 0 when the webhook is known already.
--
-- What a shop's keys are:
--   e:<id> hash: st state (p, d, x, i), ln lane, rx received, hw the moment it hurries the head before it,
--          src source, tp topic; later rs reason, ft token that finished it
--          (rx is by the clock of who accepted it; every moment that decides something is by the clock of Redis)
--   b:<id> p:<id> g:<id> body, plan, progress  k:<key> id of the webhook known under it
--   n:<key> lane named by it                  r:<key> id of the job that reserved it       s:<key> remembered value
--   l:<lane> list of job ids, the head may run
--   due zset lane -> when it may be claimed: a lane is in it exactly while its list is not empty
--   own hash lane -> token of its lease       tries hash lane -> claims of its head since the last outcome
--   held set of lanes in a hold               pend zset id -> received       dead zset id -> when
--   cnt hash: accepted, done, ignored             ledger stream of lines that finished jobs left
local shop = KEYS[1]
local id, state, received, hurry_in, source, topic, body, reason = unpack(ARGV, 1, 8)
local key_lifetime, lane_lifetime, retention, key_count = unpack(ARGV, 9, 12)

local keys, lane_keys = {}, {}
for i = 13, #ARGV do
    if i < 13 + key_count then
        keys[#keys + 1] = shop .. 'k:' .. ARGV[i]
    else
        lane_keys[#lane_keys + 1] = shop .. 'n:' .. ARGV[i]
    end
end

local job = shop .. 'e:' .. id
-- The job itself is asked too: it may wait, or lie dead, for longer than its keys live.
if redis.call('EXISTS', job, unpack(keys)) > 0 then
    return 0
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hurry = now + hurry_in

local function lane_of_job()
    if #lane_keys == 0 then
        return id
    end
    for _, bound in ipairs(redis.call('MGET', unpack(lane_keys))) do
        if bound then
            return bound
        end
    end
    return ARGV[13 + key_count]
end

local function enter(lane)
    for _, key in ipairs(lane_keys) do
        redis.call('SET', key, lane, 'PX', lane_lifetime)
    end
    redis.call('RPUSH', shop .. 'l:' .. lane, id)
    redis.call('ZADD', shop .. 'pend', received, id)
    if redis.call('SISMEMBER', shop .. 'held', lane) == 1 then
        redis.call('ZADD', shop .. 'due', 'LT', hurry, lane)
    else
        redis.call('ZADD', shop .. 'due', 'NX', now, lane)
    end
end

local function record()
    redis.call('HSET', job, 'rs', reason)
    if state == 'x' then
        redis.call('ZADD', shop .. 'dead', now, id)
        return
    end
    redis.call('HINCRBY', shop .. 'cnt', 'ignored', 1)
    redis.call('PEXPIRE', job, retention)
    redis.call('PEXPIRE', shop .. 'b:' .. id, retention)
end

local lane = lane_of_job()
redis.call('SET', shop .. 'b:' .. id, body)
redis.call('HSET', job, 'st', state, 'ln', lane, 'rx', received, 'hw', hurry, 'src', source, 'tp', topic)
for _, key in ipairs(keys) do
    redis.call('SET', key, id, 'PX', key_lifetime)
end
redis.call('HINCRBY', shop .. 'cnt', 'accepted', 1)
if state == 'p' then
    enter(lane)
else
    record()
end
return 1
