-- Draw: a line of a batch takes its share out of what the batch holds, as a hold of its own. What is held in budgets stays
-- as it is, so that nothing is checked: the money was set aside when the batch was taken. A deferred call has its own hold
-- from the start: drawing it says that somebody is about to ask.
--
-- KEYS  1 epoch   2 leases   3 the batch's hold   4 the lines that have drawn, a bit each
--       5 what became of the line's hold   6 the line's hold
-- ARGV  1 number of the line   2 its share, nanos   3 its hold's id   4 its ledger row as it stands, JSON   5 now, ms
--       6 end of the lease, ms   7 output tokens that the share pays for   8 ms to remember that it has drawn
--
-- Answers {1, epoch}   also when this hold was drawn before
--      or {0, 1}       the line has drawn it before, for this call or an earlier one
--      or {0, 0, epoch}   there is no share: the batch's hold is gone
local call = redis.call
if call('GET', KEYS[5]) then return {0, 1} end
local epoch = call('GET', KEYS[1])
if call('EXISTS', KEYS[6]) == 1 then
    call('ZADD', KEYS[2], 'XX', ARGV[6], ARGV[3])
    call('HSET', KEYS[6], 'drawn', 1)
    return {1, epoch}
end
local batch = call('HMGET', KEYS[3], 'amount', 'counters', 'joined')
local number, share = tonumber(ARGV[1]), tonumber(ARGV[2])
if call('GETBIT', KEYS[4], number) == 1 then return {0, 1} end
if not batch[1] or not epoch or tonumber(batch[1]) < share then return {0, 0, epoch or ''} end
call('ZADD', KEYS[2], ARGV[6], ARGV[3])
call('HSET', KEYS[6], 'amount', ARGV[2], 'attempt', 1, 'output', ARGV[7], 'counters', batch[2], 'row', ARGV[4],
    'tokens', 0, 'at', ARGV[5])
if batch[3] then call('HSET', KEYS[6], 'joined', batch[3]) end
-- what costs nothing would be '-0', which is no number to Valkey
if share > 0 then call('HINCRBY', KEYS[3], 'amount', '-' .. ARGV[2]) end
call('SETBIT', KEYS[4], number, 1)
call('PEXPIRE', KEYS[4], ARGV[8])
return {1, epoch}
