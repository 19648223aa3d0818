#!lua flags=no-writes
-- list: a page of one shop's jobs in one state.
-- KEYS[1] "fo:{shop}:"; ARGV state (p, x: by time; d, i: as Redis finds them, maybe one twice), where the last page ended or "",
-- at most so many (of p and x).
-- Returns {where this page ends or "" when that was all, job, job ...}; a job is {id, source, topic, received, reason, plan, progress}.
local shop, state, cursor, most = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local reply = {''}

local function show(id)
    local job = redis.call('HMGET', shop .. 'e:' .. id, 'st', 'src', 'tp', 'rx', 'rs')
    if job[1] == state then
        local planned = redis.call('MGET', shop .. 'p:' .. id, shop .. 'g:' .. id)
        reply[#reply + 1] = {id, job[2], job[3], job[4], job[5], planned[1], planned[2]}
    end
end

-- The cursor is score:id of the last one; those of one score are in the order of their ids.
local function by_time(set)
    local from, last = string.match(cursor, '^(%d+):(%x+)$')
    local skip, looked = 0, 0
    while true do
        local page = redis.call('ZRANGE', shop .. set, from or '-inf', '+inf', 'BYSCORE', 'LIMIT', skip, most, 'WITHSCORES')
        for i = 1, #page, 2 do
            if page[i + 1] ~= from or page[i] > last then
                show(page[i])
                looked = looked + 1
            end
            if looked == most then
                reply[1] = page[i + 1] .. ':' .. page[i]
                return
            end
        end
        if #page < 2 * most then
            return
        end
        skip = skip + most
    end
end

local function as_found()
    local found = redis.call('SCAN', cursor == '' and '0' or cursor, 'MATCH', shop .. 'e:*', 'COUNT', 500)
    for _, key in ipairs(found[2]) do
        show(string.sub(key, #shop + 3))
    end
    if found[1] ~= '0' then
        reply[1] = found[1]
    end
end

local sets = {p = 'pend', x = 'dead'}
if sets[state] then
    by_time(sets[state])
else
    as_found()
end
return reply
