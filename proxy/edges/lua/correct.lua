-- Correct: the truth about an estimated row is known. Post the difference and its own ledger event, once.
--
-- KEYS  1 mark of the correction   2 ledger stream   3.. the counters of the row's period
-- ARGV  1 difference in nanos   2 ledger event, JSON   3 ms to remember it for   4.. the difference in each counter, which
--       is another one where only a part of the call was of its model
--
-- A counter that no longer exists belongs to a period that nobody spends from: it is left alone.
-- Answers 1 the first time and 0 after that.
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[3]) then return 0 end
local counters = {unpack(KEYS, 3)}
local difference = {}
for place, counter in ipairs(counters) do difference[counter] = ARGV[3 + place] end
-- and those of budgets that began while it was held, of which its worker does not know
local joined = redis.call('GET', (string.gsub(KEYS[1], ':corrected:', ':closed:', 1)) .. ':joined')
for counter in string.gmatch(joined or '', '[^\n]+') do
    if not difference[counter] then counters[#counters + 1] = counter end
end
for _, counter in ipairs(counters) do
    if redis.call('EXISTS', counter) == 1 then
        redis.pcall('HINCRBY', counter, 's', difference[counter] or ARGV[1])
        redis.call('SADD', string.match(KEYS[2], '^[^:]*') .. ':moved', counter)
    end
end
redis.call('XADD', KEYS[2], '*', 'e', ARGV[2])
return 1
