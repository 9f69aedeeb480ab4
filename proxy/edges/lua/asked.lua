-- Asked: an upstream has got a deferred call with others, as a batch of its own. Whoever finds its hold alone must not take
-- it for one that nobody was asked with.
--
-- KEYS  1.. the holds
--
-- Answers for each 1, or 0 where there is no such hold
local answers = {}
for place, key in ipairs(KEYS) do
    answers[place] = redis.call('EXISTS', key)
    -- lua/turn.lua writes models there, a line each
    if answers[place] == 1 then redis.call('HSETNX', key, 'asked', '') end
end
return answers
