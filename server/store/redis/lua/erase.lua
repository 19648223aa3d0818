#!lua flags=allow-oom
-- erase: jobs without their body, plan and progress, values gone. allow-oom: it frees memory.
-- KEYS[1] "fo:{shop}:"; ARGV id of the job whose lease stays, or "", then for each: "b", id and what stands for its body, or "s", key and "".
local shop, own = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Whoever is at work on it finds its token gone with the next change.
local function end_lease(id)
    local lane = redis.call('HGET', shop .. 'e:' .. id, 'ln')
    if redis.call('LINDEX', shop .. 'l:' .. lane, 0) == id and redis.call('HDEL', shop .. 'own', lane) == 1 then
        redis.call('ZADD', shop .. 'due', now, lane)
    end
end

for i = 2, #ARGV, 3 do
    local kind, id, body = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if kind == 's' then
        redis.call('UNLINK', shop .. 's:' .. id)
    elseif redis.call('EXISTS', shop .. 'e:' .. id) == 1 then
        redis.call('SET', shop .. 'b:' .. id, body, 'KEEPTTL')
        redis.call('UNLINK', shop .. 'p:' .. id, shop .. 'g:' .. id)
        if id ~= own then
            end_lease(id)
        end
    end
end
return 1
