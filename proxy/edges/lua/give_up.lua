-- Give up: a reserve was sent and its answer never came. Whatever became of it, there is to be no hold, and one row.
--
-- KEYS  1 what became of the hold   2 the hold   3 leases   4 ledger stream
-- ARGV  1 hold id   2 ledger event, JSON   3 ms to remember it for   4 now, ms
--
-- If the reserve has run, its money goes back; if it is still on its way, the mark makes it refuse. Answers 1 the first
-- time and 0 after that. What must happen once comes first, as in settle.lua.
if call('GET', KEYS[1]) then return 0 end
local hold = call('HMGET', KEYS[2], 'amount', 'windows', 'tokens', 'at', 'counters')
local amount = hold[1]
call('XADD', KEYS[4], '*', 'e', ARGV[2])
call('SET', KEYS[1], 'given up', 'PX', ARGV[3])
call('ZREM', KEYS[3], ARGV[1])
if amount then
    call('DEL', KEYS[2])
    -- those that it was reserved in, and those of budgets that began meanwhile
    for counter in string.gmatch(hold[5], '[^\n]+') do
        redis.pcall('HINCRBY', counter, 'h', whole(-tonumber(amount)))
    end
    if hold[2] then
        local call_of = {id = ARGV[1], at = tonumber(hold[4]), requests = -1, tokens = -hold[3], nanos = -amount}
        adjust(hold[2], {call_of}, tonumber(ARGV[4]))
    end
end
return 1
