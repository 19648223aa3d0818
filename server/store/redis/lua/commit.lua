#!lua flags=allow-oom
-- commit: changes to claimed jobs of one shop, one after the other. allow-oom: finishing is what frees memory.
-- KEYS[1] "fo:{shop}:"; ARGV for each change how many follow, then: kind, lane, id, token, delay ms, lease ms, "1" if a lease that is not over
-- stays, state (d, x, i), reason, retention ms, lifetime ms of reservations, "plan" or "progress" and its bytes or "" and "", number of reservations,
-- number of marks, number of lines for the ledger, their lifetime ms, the reservations, for each mark (key, "1" and what it must be or "0" and ""
-- where there must be none, value, lifetime ms), the lines, then for each value to remember (key, value, lifetime ms).
-- Returns for each {0}: stale, {2}: a mark is not as expected, nothing was changed; {1, 0 or 1 ...}: done, and for each reservation whether
-- another job has it.
local shop = KEYS[1]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ledger, ledger_lifetime = shop .. 'ledger', false

local function commit(ARGV)
    local kind, lane, id, token, delay, lease, stays, state, reason, retention, reserve_lifetime, written, bytes = unpack(ARGV, 1, 13)
    local due, own, held, list = shop .. 'due', shop .. 'own', shop .. 'held', shop .. 'l:' .. lane
    local job = shop .. 'e:' .. id

    if redis.call('HGET', own, lane) ~= token or redis.call('LINDEX', list, 0) ~= id then
        -- The answer to a finish may have been lost: the same finish again is done already.
        if kind == 'finish' and redis.call('HGET', job, 'ft') == token then
            return {1}
        end
        return {0}
    end

    local reply = {1}

    local function forget_lease()
        redis.call('HDEL', own, lane)
        redis.call('HDEL', shop .. 'tries', lane)
    end

    local function end_lease(when)
        redis.call('ZADD', due, when, lane)
        forget_lease()
    end

    -- The next head is due since it came: else each lane of a backlog would be due more lately than what has just come.
    local function leave_lane()
        redis.call('LPOP', list)
        local head = redis.call('LINDEX', list, 0)
        if head then
            redis.call('ZADD', due, math.min(now, redis.call('HGET', shop .. 'e:' .. head, 'rx') or now), lane)
        else
            redis.call('ZREM', due, lane)
        end
        forget_lease()
    end

    local first_reservation = 18
    local last_reservation = first_reservation - 1 + ARGV[14]
    local last_mark = last_reservation + 5 * ARGV[15]
    local last_line = last_mark + ARGV[16]

    -- A change that is repeated, because its answer was lost, finds its marks set already.
    local function marks_hold()
        for i = last_reservation + 1, last_mark, 5 do
            local seen = redis.call('GET', shop .. 's:' .. ARGV[i])
            local expected = ARGV[i + 1] == '1' and ARGV[i + 2]
            if seen ~= expected and seen ~= ARGV[i + 3] then
                return false
            end
        end
        return true
    end

    local function reserve()
        for i = first_reservation, last_reservation do
            local key = shop .. 'r:' .. ARGV[i]
            local holder = redis.call('GET', key)
            if holder and holder ~= id then
                reply[#reply + 1] = 1
            else
                redis.call('SET', key, id, 'PX', reserve_lifetime)
                reply[#reply + 1] = 0
            end
        end
    end

    local changes = {}

    local function may_stay()
        return stays == '1' and tonumber(redis.call('ZSCORE', due, lane) or 0) > now and tonumber(redis.call('HGET', shop .. 'tries', lane) or 0) <= 1
    end

    function changes.record()
        if not may_stay() then
            redis.call('ZADD', due, now + lease, lane)
            redis.call('HDEL', shop .. 'tries', lane)
        end
        reserve()
    end

    function changes.retry()
        end_lease(now + delay)
    end

    function changes.hold()
        local wake = now + delay
        for _, behind in ipairs(redis.call('LRANGE', list, 1, 32)) do
            wake = math.min(wake, tonumber(redis.call('HGET', shop .. 'e:' .. behind, 'hw') or wake))
        end
        end_lease(math.max(now, wake))
        redis.call('SADD', held, lane)
    end

    function changes.aside()
        leave_lane()
        redis.call('RPUSH', shop .. 'l:' .. id, id)
        redis.call('ZADD', due, now + delay, id)
        redis.call('HSET', job, 'ln', id)
    end

    -- Whole nodes of old lines go with each new one; a shop that has nothing new forgets all at once.
    local function enter_ledger()
        for i = last_mark + 1, last_line do
            redis.call('XADD', ledger, 'MINID', '~', math.max(0, now - ARGV[17]), '*', 'l', ARGV[i])
            ledger_lifetime = ARGV[17]
        end
    end

    function changes.finish()
        leave_lane()
        enter_ledger()
        redis.call('ZREM', shop .. 'pend', id)
        redis.call('HSET', job, 'st', state, 'rs', reason, 'ft', token)
        if state == 'x' then
            redis.call('ZADD', shop .. 'dead', now, id)
            return
        end
        redis.call('HINCRBY', shop .. 'cnt', state == 'd' and 'done' or 'ignored', 1)
        for _, part in ipairs({'e:', 'b:', 'p:', 'g:'}) do
            redis.call('PEXPIRE', shop .. part .. id, retention)
        end
    end

    function changes.release()
        redis.call('ZADD', due, now, lane)
        redis.call('HDEL', own, lane)
        if redis.call('HINCRBY', shop .. 'tries', lane, -1) <= 0 then
            redis.call('HDEL', shop .. 'tries', lane)
        end
    end

    if not marks_hold() then
        return {2}
    end
    for i = last_reservation + 1, last_mark, 5 do
        redis.call('SET', shop .. 's:' .. ARGV[i], ARGV[i + 3], 'PX', ARGV[i + 4])
    end
    if written == 'plan' then
        redis.call('SET', shop .. 'p:' .. id, bytes)
        redis.call('DEL', shop .. 'g:' .. id)
    elseif written == 'progress' then
        redis.call('SET', shop .. 'g:' .. id, bytes)
    end
    for i = last_line + 1, #ARGV, 3 do
        redis.call('SET', shop .. 's:' .. ARGV[i], ARGV[i + 1], 'PX', ARGV[i + 2])
    end
    changes[kind]()
    return reply
end

local replies, at = {}, 1
while at <= #ARGV do
    local last = at + ARGV[at]
    replies[#replies + 1] = commit({unpack(ARGV, at + 1, last)})
    at = last + 1
end
if ledger_lifetime then
    redis.call('PEXPIRE', ledger, ledger_lifetime)
end
return replies
