-- Asked: an upstream has got a deferred call with others, as a batch of its own. Whoever finds its hold alone must not take
-- it for one that nobody was asked with.
--
-- KEYS  1.. the holds
for _, key in ipairs(KEYS) do
    -- lua/turn.lua writes models there, a line each
    if redis.call('EXISTS', key) == 1 then redis.call('HSETNX', key, 'asked', '') end
end
