#!lua
-- accept: webhooks of one shop in their order, each once. Without allow-oom: at maxmemory Redis refuses them before they have any effect.
-- KEYS[1] is "fo:{shop}:"; ARGV lifetime ms of keys and of lane keys, retention ms, then for each: id, state, received, hurry in ms, source, topic,
-- body, reason, number of keys beside the id, number of lane keys, those keys, the lane keys.
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
local call, shop = redis.call, KEYS[1]

local counted, layout = unpack(call('HMGET', shop .. 'cnt', 'accepted', 'layout'))
if counted and layout ~= LAYOUT then
    return redis.error_reply('LAYOUT of an earlier version')
end

local key_lifetime, lane_lifetime, retention = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

-- ---- what came

local jobs, keys, lane_keys = {}, {}, {}

local function read(at)
    local id, state, received, hurry_in, source, topic, body, reason, key_count, lane_key_count = unpack(ARGV, at, at + 9)
    local job = {id = id, key = shop .. 'e:' .. id, state = state, received = received, hurry = now + hurry_in, source = source, topic = topic,
                 body = body, reason = reason, first_key = #keys + 1, first_lane_key = #lane_keys + 1}
    keys[#keys + 1] = id
    for i = at + 10, at + 9 + key_count do
        keys[#keys + 1] = ARGV[i]
    end
    at = at + 10 + key_count
    for i = at, at - 1 + lane_key_count do
        lane_keys[#lane_keys + 1] = ARGV[i]
    end
    job.last_key, job.last_lane_key = #keys, #lane_keys
    jobs[#jobs + 1] = job
    return at + lane_key_count
end

local at = 4
while at <= #ARGV do
    at = read(at)
end

-- ---- keys

-- They are not forgotten one by one but a whole period at once: one call keeps those of many webhooks, and none of them has an expiry of its own.
-- A lifetime is so many periods; they are looked for in the newest one and in so many before it, and in the one to come: the clock of Redis may
-- be another one since a fail-over.
local function periods_of(kind, lifetime, count)
    local length, names = lifetime / count, {}
    local newest = math.floor(now / length)
    for i = -1, count do
        names[#names + 1] = string.format('%s%s:%.0f', shop, kind, newest - i)
    end
    return {names = names, newest = names[2], gone = string.format('%s%s:%.0f', shop, kind, newest - count - 1),
            ends = string.format('%.0f', (newest + count + 2) * length)}
end

-- find: what each key has, if it has something; the newest counts.
local function find(periods, keys)
    local found = {}
    for i = #keys > 0 and #periods.names or 0, 1, -1 do
        for n, value in ipairs(call('HMGET', periods.names[i], unpack(keys))) do
            found[keys[n]] = value or found[keys[n]]
        end
    end
    return found
end

-- What is over goes by UNLINK when the next period begins, and by itself only where nothing comes any more: Redis stands still for what expires.
local function keep(periods, entries)
    if #entries == 0 then
        return
    end
    local begins = call('EXISTS', periods.newest) == 0
    call('HSET', periods.newest, unpack(entries))
    if begins then
        call('PEXPIREAT', periods.newest, periods.ends)
        call('UNLINK', periods.gone)
    end
end

-- The job itself is asked too: it may wait, or lie dead, for longer than its keys live.
local asked = {}
for n, job in ipairs(jobs) do
    asked[n] = job.key
end
local some_there = call('EXISTS', unpack(asked)) > 0
local key_periods, new_keys = periods_of('k', key_lifetime, 1), {}
local taken = find(key_periods, keys)

local function known(job)
    for i = job.first_key, job.last_key do
        if taken[keys[i]] then
            return true
        end
    end
    return some_there and call('EXISTS', job.key) > 0
end

-- ---- lanes

local lane_periods, new_lane_keys = periods_of('n', lane_lifetime, 2), {}
local bound = find(lane_periods, lane_keys)

local function lane_of(job)
    for i = job.first_lane_key, job.last_lane_key do
        local lane = bound[lane_keys[i]]
        if lane then
            return lane
        end
    end
    return job.first_lane_key <= job.last_lane_key and lane_keys[job.first_lane_key] or job.id
end

local lanes, waiting, hurries, pending = {}, {}, {}, {}

local function enter(job, lane)
    for i = job.first_lane_key, job.last_lane_key do
        bound[lane_keys[i]] = lane
        new_lane_keys[#new_lane_keys + 1] = lane_keys[i]
        new_lane_keys[#new_lane_keys + 1] = lane
    end
    if not waiting[lane] then
        waiting[lane], hurries[lane] = {}, job.hurry
        lanes[#lanes + 1] = lane
    end
    local ids = waiting[lane]
    ids[#ids + 1] = job.id
    hurries[lane] = math.min(hurries[lane], job.hurry)
    pending[#pending + 1] = job.received
    pending[#pending + 1] = job.id
end

local function record(job)
    call('HSET', job.key, 'rs', job.reason)
    if job.state == 'x' then
        call('ZADD', shop .. 'dead', now, job.id)
        return
    end
    call('HINCRBY', shop .. 'cnt', 'ignored', 1)
    call('PEXPIRE', job.key, retention)
    call('PEXPIRE', shop .. 'b:' .. job.id, retention)
end

-- ---- all of it

local reply, accepted = {}, 0
for n, job in ipairs(jobs) do
    local is_known = known(job)
    reply[n] = is_known and '0' or '1'
    if not is_known then
        local lane = lane_of(job)
        accepted = accepted + 1
        call('SET', shop .. 'b:' .. job.id, job.body)
        call('HSET', job.key, 'st', job.state, 'ln', lane, 'rx', job.received, 'hw', job.hurry, 'src', job.source, 'tp', job.topic)
        for i = job.first_key, job.last_key do
            taken[keys[i]] = job.id
            new_keys[#new_keys + 1] = keys[i]
            new_keys[#new_keys + 1] = job.id
        end
        if job.state == 'p' then
            enter(job, lane)
        else
            record(job)
        end
    end
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
