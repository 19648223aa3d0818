#!lua
-- swap: one remembered value in place of another.
-- KEYS[1] the value's key; ARGV "1" and what it must be or "0" and "" where there must be none, value, lifetime ms.
-- Returns 1, also when it is at value already (the answer may have been lost); 0: it is something else, nothing was changed.
local seen = redis.call('GET', KEYS[1])
if seen ~= (ARGV[1] == '1' and ARGV[2]) and seen ~= ARGV[3] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
