-- Correct: the truth about an estimated row is known. Post the difference and its own ledger event, once.
--
-- KEYS  1 mark of the correction   2 ledger stream   3.. the counters of the row's period
-- ARGV  1 difference in nanos   2 ledger event, JSON   3 ms to remember it for
--
-- A counter that no longer exists belongs to a period that nobody spends from: it is left alone.
-- Answers 1 the first time and 0 after that.
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[3]) then return 0 end
for place = 3, #KEYS do
    if redis.call('EXISTS', KEYS[place]) == 1 then
        redis.pcall('HINCRBY', KEYS[place], 's', ARGV[1])
        redis.call('SADD', string.match(KEYS[2], '^[^:]*') .. ':moved', KEYS[place])
    end
end
redis.call('XADD', KEYS[2], '*', 'e', ARGV[2])
return 1
