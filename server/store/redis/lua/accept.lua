#!lua
-- accept: webhooks of one shop in their order, each once. Without allow-oom: at maxmemory Redis refuses them before they have any effect.
-- KEYS[1] is "fo:{shop}:"; ARGV lifetime ms of keys and of lane keys, retention ms, number of keys and of lane keys of all of them, the keys, those
-- of one webhook after those of the one before, its id first, the lane keys likewise, then for each: id, state, received, hurry in ms, source, topic,
-- body, reason, number of its keys and of its lane keys.
-- Returns a text with a digit for each: 1, or 0 when the webhook is known already.
-- What does not depend on the single one is done once for all of them: a call costs Redis more than what it does.
--
-- What a shop's keys are:
--   e:<id> hash: st state (p, d, x, i), ln lane, rx received, hw the moment it hurries the head before it,
--          src source, tp topic; later rs reason, ft token that finished it
--          (rx is by the clock of who accepted it; every moment that decides something is by the clock of Redis)
--   b:<id> p:<id> g:<id> body, plan, progress  r:<key> id of the job that reserved it       s:<key> remembered value
--   k:<period> hash: key -> id of the webhook known under it                                n:<period> hash: lane key -> lane named by it
--   l:<lane> list of job ids, the head may run
--   due zset lane -> when it may be claimed: a lane is in it exactly while its list is not empty
--   own hash lane -> token of its lease       tries hash lane -> claims of its head since the last outcome
--   held set of lanes in a hold               pend zset id -> received       dead zset id -> when
--   cnt hash: accepted, done, ignored; layout: which of the forms that all of this has had
--   ledger stream of lines that finished jobs left
local LAYOUT = '2'  -- 1, which has no such field: a string for each key and lane key
local FIXED, EACH = 5, 10  -- of ARGV: before the keys, and for each
local call, args, shop = redis.call, ARGV, KEYS[1]

local counted, layout = unpack(call('HMGET', shop .. 'cnt', 'accepted', 'layout'))
if counted and layout ~= LAYOUT then
    return redis.error_reply('LAYOUT of an earlier version')
end

local key_lifetime, lane_lifetime, retention, all_keys, all_lane_keys = unpack(args, 1, FIXED)
local first_lane_key = FIXED + 1 + all_keys
local first_job = first_lane_key + all_lane_keys

local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

-- ---- keys

-- They are not forgotten one by one but a whole period at once: one call keeps those of many webhooks, and none of them has an expiry of its own.
-- A lifetime is so many periods; they are looked for in the newest one and in so many before it, and in the one to come: the clock of Redis may
-- be another one since a fail-over. Most of these are not there: asking that first spares an answer for each key.
local function periods_of(kind, lifetime, count)
    local periods = {kind = kind, length = lifetime / count, count = count, begins = true}
    periods.newest = math.floor(now / periods.length)
    return periods
end

local function name_of(periods, number)
    return string.format('%s%s:%.0f', shop, periods.kind, number)
end

-- find: what the arguments from first to last have that are kept there, by their place; the newest counts.
local function find(periods, first, last)
    local found = {}
    for number = periods.newest - periods.count, periods.newest + 1 do
        local name = name_of(periods, number)
        if first <= last and call('EXISTS', name) == 1 then
            periods.begins = periods.begins and number ~= periods.newest
            for n, value in ipairs(call('HMGET', name, unpack(args, first, last))) do
                if value then
                    found[first - 1 + n] = value
                end
            end
        end
    end
    return found
end

-- What is over goes by UNLINK when the next period begins, and by itself only where nothing comes any more: Redis stands still for what expires.
local function keep(periods, entries)
    if #entries == 0 then
        return
    end
    local name = name_of(periods, periods.newest)
    call('HSET', name, unpack(entries))
    if periods.begins then
        call('PEXPIREAT', name, string.format('%.0f', (periods.newest + periods.count + 2) * periods.length))
        call('UNLINK', name_of(periods, periods.newest - periods.count - 1))
    end
end

-- The job itself is asked too: it may wait, or lie dead, for longer than its keys live.
local jobs = {}
for at = first_job, #args, EACH do
    jobs[#jobs + 1] = shop .. 'e:' .. args[at]
end
local some_there = call('EXISTS', unpack(jobs)) > 0
local key_periods, new_keys = periods_of('k', key_lifetime, 1), {}
local taken, taken_now = find(key_periods, FIXED + 1, first_lane_key - 1), {}

local function known(job, first, last)
    for i = first, last do
        if taken[i] or taken_now[args[i]] then
            return true
        end
    end
    return some_there and call('EXISTS', job) > 0
end

-- ---- lanes

local lane_periods, new_lane_keys = periods_of('n', lane_lifetime, 2), {}
local bound, bound_now = find(lane_periods, first_lane_key, first_job - 1), {}

local function lane_of(id, first, last)
    for i = first, last do
        local lane = bound_now[args[i]] or bound[i]
        if lane then
            return lane
        end
    end
    return first <= last and args[first] or id
end

local lanes, waiting, hurries, pending = {}, {}, {}, {}

local function enter(id, lane, received, hurry)
    if not waiting[lane] then
        waiting[lane], hurries[lane] = {}, hurry
        lanes[#lanes + 1] = lane
    end
    local ids = waiting[lane]
    ids[#ids + 1] = id
    hurries[lane] = math.min(hurries[lane], hurry)
    pending[#pending + 1] = received
    pending[#pending + 1] = id
end

local function record(job, id, state, body, reason)
    call('HSET', job, 'rs', reason)
    call('SET', shop .. 'b:' .. id, body)
    if state == 'x' then
        call('ZADD', shop .. 'dead', now, id)
        return
    end
    call('HINCRBY', shop .. 'cnt', 'ignored', 1)
    call('PEXPIRE', job, retention)
    call('PEXPIRE', shop .. 'b:' .. id, retention)
end

-- note adds what the arguments from first to last have from now on.
local function note(entries, by_key, first, last, value)
    local n = #entries
    for i = first, last do
        by_key[args[i]] = value
        entries[n + 1], entries[n + 2] = args[i], value
        n = n + 2
    end
end

-- ---- all of it

local reply, accepted, bodies = {}, 0, {}
local key, lane_key = FIXED + 1, first_lane_key
for n, job in ipairs(jobs) do
    local at = first_job + (n - 1) * EACH
    local id, state, received, hurry_in, source, topic, body, reason, keys, lane_keys = unpack(args, at, at + EACH - 1)
    local last_key, last_lane_key = key + keys - 1, lane_key + lane_keys - 1
    local is_known = known(job, key, last_key)
    reply[n] = is_known and '0' or '1'
    if not is_known then
        local lane, hurry = lane_of(id, lane_key, last_lane_key), now + hurry_in
        accepted = accepted + 1
        call('HSET', job, 'st', state, 'ln', lane, 'rx', received, 'hw', hurry, 'src', source, 'tp', topic)
        note(new_keys, taken_now, key, last_key, id)
        if state == 'p' then
            bodies[#bodies + 1] = shop .. 'b:' .. id
            bodies[#bodies + 1] = body
            note(new_lane_keys, bound_now, lane_key, last_lane_key, lane)
            enter(id, lane, received, hurry)
        else
            record(job, id, state, body, reason)
        end
    end
    key, lane_key = last_key + 1, last_lane_key + 1
end

if #bodies > 0 then
    call('MSET', unpack(bodies))
end
keep(key_periods, new_keys)
keep(lane_periods, new_lane_keys)
if accepted > 0 then
    call('HINCRBY', shop .. 'cnt', 'accepted', accepted)
end
if not layout then
    call('HSET', shop .. 'cnt', 'layout', LAYOUT)
end
if #lanes > 0 then
    local free, held = {}, {}
    for i, is_held in ipairs(call('SMISMEMBER', shop .. 'held', unpack(lanes))) do
        local lane = lanes[i]
        local due = is_held == 1 and held or free
        due[#due + 1] = is_held == 1 and hurries[lane] or now
        due[#due + 1] = lane
        call('RPUSH', shop .. 'l:' .. lane, unpack(waiting[lane]))
    end
    call('ZADD', shop .. 'pend', unpack(pending))
    if #free > 0 then
        call('ZADD', shop .. 'due', 'NX', unpack(free))
    end
    if #held > 0 then
        call('ZADD', shop .. 'due', 'LT', unpack(held))
    end
end
return table.concat(reply)
