-- Set aside: so much of a budget's limit is kept from calls, because the limit is about to be lowered by it. It is held in
-- the budget's counter as a call's money is, and nobody spends it: give_back.lua undoes it, or the reaper.
--
-- KEYS  1 the counter   2 leases   3 the hold
-- ARGV  1 nanos   2 the limit that calls are held to   3 end of the lease, ms   4 hold id   5 what the reaper is to know, JSON
--
-- Answers {1, nanos left beside it}
--      or {0, nanos left}   it does not fit beside what is spent and held
--      or {-1, 0}           the counter is not known: nobody is held to it at the moment
local known = redis.call('HMGET', KEYS[1], 's', 'h')
if not known[1] then return {-1, '0'} end
local nanos = tonumber(ARGV[1])
local left = tonumber(ARGV[2]) - tonumber(known[1]) - tonumber(known[2] or 0)
if left < nanos then return {0, string.format('%.0f', left)} end
-- The lease first: the reaper finds by it whatever comes to be held.
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
redis.call('HINCRBY', KEYS[1], 'h', ARGV[1])
redis.call('HSET', KEYS[3], 'amount', ARGV[1], 'attempt', 1, 'output', 0, 'row', ARGV[5], 'counters', KEYS[1])
return {1, string.format('%.0f', left - nanos)}
