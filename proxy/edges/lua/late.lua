-- Late: there was no hold to settle or to give up. Say what became of it, and see to its ledger event.
--
-- KEYS  1 what became of the hold   2 epoch   3 ledger stream   4.. the counters that it was held in
-- ARGV  1 epoch in which it was reserved   2 ledger event, JSON   3 ms to remember it for
--       then for each counter: 1 if a missing counter is a true zero | ms at which it may be forgotten | cost in nanos
--
-- Answers what was left behind about the hold ('reaped <nanos>', 'given up', 'late'), or '' the first time that there
-- is nothing: then either it was settled before and the answer got lost, so that the event is only written again, and
-- marked so; or Valkey lost its data, the hold among it, and the counters were made anew without this call.
local closed = redis.call('GET', KEYS[1])
if closed then return closed end
if redis.call('GET', KEYS[2]) == ARGV[1] then
    redis.call('XADD', KEYS[3], '*', 'e', ARGV[2], 'again', 1)
else
    for place = 4, #KEYS do
        local at = 3 + (place - 4) * 3
        local exists = redis.call('EXISTS', KEYS[place]) == 1
        -- whoever is not there has spent nothing: so it is of an old budget, and of one whose spenders were all counted
        local is_zero = ARGV[at + 1] == '1'
            or redis.call('EXISTS', string.match(KEYS[place], '^.-:budget:[^:]*:%-?%d+:')) == 1
        if exists or (is_zero and redis.call('EXISTS', KEYS[2]) == 1) then
            redis.pcall('HINCRBY', KEYS[place], 's', ARGV[at + 3])
            redis.call('SADD', string.match(KEYS[3], '^[^:]*') .. ':moved', KEYS[place])
            redis.call('PEXPIREAT', KEYS[place], ARGV[at + 2])
        end
    end
    redis.call('XADD', KEYS[3], '*', 'e', ARGV[2])
end
redis.call('SET', KEYS[1], 'late', 'PX', ARGV[3])
return ''
