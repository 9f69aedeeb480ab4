-- Turn: an upstream did not answer, and another model is asked next, which may be in other budgets and windows. What is
-- held from here on is what the tries so far may have been billed; the hold is as new for the next reserve.
--
-- KEYS  1 the hold
-- ARGV  1 hold id   2 what the tries since the last turn cost, in nanos   3 their tokens   4 now, ms
--       5 the model that was asked
--
-- What they cost is remembered in the hold ('before': a cost and its counters, a line each, and an empty line; 'asked': their
-- models, a line each; 'gone': the sum), held in those counters, and settled in them with the rest. A call is a request of whoever serves it.
-- Answers 1, or 0 where there is no such hold or it was turned before. Sent once: where it is lost, so is whatever would be
-- reserved next, and the hold is settled as it is.
local hold = call('HMGET', KEYS[1], 'amount', 'counters', 'windows', 'tokens', 'at', 'before', 'gone', 'attempt', 'turned',
    'asked')
local amount, counters, windows = tonumber(hold[1]), hold[2], hold[3]
if not amount or hold[9] then return 0 end
local cost = tonumber(ARGV[2])
call('HSET', KEYS[1], 'amount', 0, 'counters', '', 'tokens', 0, 'turned', 1)
if cost > 0 then
    call('HSET', KEYS[1], 'before', (hold[6] or '') .. ARGV[2] .. '\n' .. counters .. '\n\n',
        'asked', (hold[10] or '') .. ARGV[5] .. '\n', 'gone', whole(tonumber(hold[7] or 0) + cost))
end
for counter in string.gmatch(counters, '[^\n]+') do redis.pcall('HINCRBY', counter, 'h', whole(cost - amount)) end
if windows then
    call('HDEL', KEYS[1], 'windows')
    for name in string.gmatch(windows, '([^ \n]+) 0\n') do redis.pcall('SREM', name .. ':calls', ARGV[1]) end
    adjust(windows, {{
        id = ARGV[1] .. '-' .. hold[8], at = tonumber(hold[5]), requests = -1,
        tokens = tonumber(ARGV[3]) - tonumber(hold[4]), nanos = cost - amount,
    }}, tonumber(ARGV[4]))
end
return 1
