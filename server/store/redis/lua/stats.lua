#!lua flags=no-writes
-- stats: one shop's numbers, from one moment.
-- KEYS[1] "fo:{shop}:". Returns {accepted, pending, done, dead, ignored, received ms of the oldest pending job or 0}.
local shop = KEYS[1]
local count = redis.call('HMGET', shop .. 'cnt', 'accepted', 'done', 'ignored')
local oldest = redis.call('ZRANGE', shop .. 'pend', 0, 0, 'WITHSCORES')
return {tonumber(count[1] or 0), redis.call('ZCARD', shop .. 'pend'), tonumber(count[2] or 0),
        redis.call('ZCARD', shop .. 'dead'), tonumber(count[3] or 0), tonumber(oldest[2] or 0)}
