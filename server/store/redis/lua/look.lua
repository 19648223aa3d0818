#!lua flags=no-writes
-- look: a page of everything that one shop keeps, as Redis finds it, maybe one twice.
-- KEYS[1] "fo:{shop}:"; ARGV "b" (bodies of jobs) or "s" (values), where the last page ended or "", keys to look at.
-- Returns {where this page ends or "" when that was all, {id, state, received, source, topic, bytes} ...}.
local shop, kind, cursor, most = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local prefix = shop .. kind .. ':'
local found = redis.call('SCAN', cursor == '' and '0' or cursor, 'MATCH', prefix .. '*', 'COUNT', most)
local reply = {found[1] == '0' and '' or found[1]}
for _, key in ipairs(found[2]) do
    local id = string.sub(key, #prefix + 1)
    local bytes = redis.call('GET', key)
    local job = kind == 'b' and redis.call('HMGET', shop .. 'e:' .. id, 'st', 'rx', 'src', 'tp') or {'d', '0', '', ''}
    if bytes and job[1] then
        reply[#reply + 1] = {id, job[1], job[2], job[3], job[4], bytes}
    end
end
return reply
