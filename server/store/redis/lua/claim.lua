#!lua flags=allow-oom
-- claim: leases the heads of the lanes that are due, the one due longest first; before them those that are due lately, the last first.
-- KEYS[1] "fo:{shop}:"; ARGV lease ms, at most so many, their tokens in one string of 16 characters each, after how
-- many bytes of bodies and plans it is enough (one job is always brought), at most so many lately, and what is lately in ms.
-- Returns {ms until a lane that was not claimed here is due or -1, job, job ...};
-- a job is {lane, id, token, received, source, topic, claims, hurry, body, plan, progress}; hurry: ms until somebody behind wants it out
-- of the way, nil: nobody does.
local shop = KEYS[1]
local lease, most, tokens, room = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local due, own = shop .. 'due', shop .. 'own'

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Ids whose job is gone (deleted by hand) are dropped, else the lane would stand for ever.
local function head_of(lane)
    local list = shop .. 'l:' .. lane
    local id = redis.call('LINDEX', list, 0)
    while id and redis.call('EXISTS', shop .. 'e:' .. id) == 0 do
        redis.call('LPOP', list)
        redis.call('ZREM', shop .. 'pend', id)
        id = redis.call('LINDEX', list, 0)
    end
    if not id then
        redis.call('ZREM', due, lane)
        redis.call('HDEL', own, lane)
        redis.call('HDEL', shop .. 'tries', lane)
        redis.call('SREM', shop .. 'held', lane)
    end
    return id
end

local function hurry_behind(lane)
    local earliest = false
    for _, id in ipairs(redis.call('LRANGE', shop .. 'l:' .. lane, 1, 32)) do
        local hurry = tonumber(redis.call('HGET', shop .. 'e:' .. id, 'hw') or '')
        if hurry and (not earliest or hurry < earliest) then
            earliest = hurry
        end
    end
    return earliest and earliest - now
end

local function claim(lane, id, token)
    local claims = redis.call('HINCRBY', shop .. 'tries', lane, 1)
    local job = redis.call('HMGET', shop .. 'e:' .. id, 'rx', 'src', 'tp')
    local body, plan, progress = unpack(redis.call('MGET', shop .. 'b:' .. id, shop .. 'p:' .. id, shop .. 'g:' .. id))
    room = room - #(body or '') - #(plan or '') - #(progress or '')
    return {lane, id, token, job[1], job[2], job[3], claims, hurry_behind(lane), body, plan, progress}
end

local reply, claimed = {-1}, {}

local function claim_all(lanes)
    local leases, owners, heads = {}, {}, {}
    for _, lane in ipairs(lanes) do
        local id = room > 0 and head_of(lane)
        if id then
            local at = (#reply - 1) * 16
            local token = string.sub(tokens, at + 1, at + 16)
            reply[#reply + 1] = claim(lane, id, token)
            claimed[lane] = true
            heads[#heads + 1] = lane
            owners[#owners + 1] = lane
            owners[#owners + 1] = token
            leases[#leases + 1] = now + lease
            leases[#leases + 1] = lane
        end
    end
    if #heads > 0 then
        redis.call('ZADD', due, unpack(leases))
        redis.call('HSET', own, unpack(owners))
        redis.call('SREM', shop .. 'held', unpack(heads))
    end
end

local lately = tonumber(ARGV[5])
if lately > 0 then
    claim_all(redis.call('ZRANGE', due, now, string.format('(%.0f', now - ARGV[6]), 'BYSCORE', 'REV', 'LIMIT', 0, lately))
end
if most > 0 then
    claim_all(redis.call('ZRANGE', due, '-inf', now, 'BYSCORE', 'LIMIT', 0, most))
end

local soonest = redis.call('ZRANGE', due, 0, #reply - 1, 'WITHSCORES')
for i = 1, #soonest, 2 do
    if not claimed[soonest[i]] then
        reply[1] = math.max(0, soonest[i + 1] - now)
        break
    end
end
return reply
