-- A flight has ended: keep its answer, if there is one to keep, and let go of it.
--
-- KEYS  1 the answer   2 the flight
-- ARGV  1 who ends it  2 the packed answer, or nothing   3 ms for which it is kept
--       4 ms for which who waits is told that nothing was kept; 0 where one of them shall take over
--
-- An owner that was taken for dead still keeps its answer: it is as good as any. Only its own flight it ends.
if #ARGV[2] > 0 then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
local flight = redis.call('HMGET', KEYS[2], 'o', 'w')
if flight[1] ~= ARGV[1] then return 0 end
if #ARGV[2] == 0 and flight[2] and ARGV[4] ~= '0' then
    redis.call('HSET', KEYS[2], 'o', '-')
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
else
    redis.call('DEL', KEYS[2])
end
return 1
