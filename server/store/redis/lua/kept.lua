#!lua flags=allow-oom
-- kept: a write without meaning, which WAIT can wait for. allow-oom: what finishes a job has to be kept at maxmemory too.
-- KEYS[1] "fo:{shop}:".
redis.call('SET', KEYS[1] .. 'kept', '1', 'PX', 60000)
