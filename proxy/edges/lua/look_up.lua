-- Look up a kept answer; where there is none, become the one who asks the upstream for it, or wait for who does.
--
-- KEYS  1 the answer   2 the flight: a hash with o = its owner, or - when it ended with nothing to keep, and
--       w = 1 when others wait
-- ARGV  1 who asks     2 ms after which a flight whose owner says nothing is over
--       3 1 where the answer that is there is of no use to the caller: only the flight counts
--
-- Answers  {1, the answer}
--      or  {2, 1 when others wait}   the caller owns the flight, anew or as before
--      or  {3}                       another one does
--      or  {4}                       it has just ended with nothing to keep: ask alone
if ARGV[3] ~= '1' then
    local answer = redis.call('GET', KEYS[1])
    if answer then return {1, answer} end
end
local flight = redis.call('HMGET', KEYS[2], 'o', 'w')
if flight[1] == '-' then return {4} end
if flight[1] and flight[1] ~= ARGV[1] then
    redis.call('HSET', KEYS[2], 'w', 1)
    return {3}
end
redis.call('HSET', KEYS[2], 'o', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {2, flight[2] and 1 or 0}
