-- Settle: turn a hold into spend and write its ledger event, in one step.
--
-- KEYS  1 what became of the hold   2 the hold   3 leases   4 ledger stream   5.. the hold's counters
-- ARGV  1 hold id   2 cost in nanos   3 ledger event, JSON   4 what to leave behind, or ''   5 ms to leave it for
--       6 only if the lease ended before this ms, or '' for always
--
-- Answers 1 when it settled, 0 when there is no such hold (it was settled before, or expired and was reaped), 2 when
-- the lease was renewed meanwhile. Idempotent: the hold is gone after the first time.
-- What is left behind ('reaped ...') tells a worker that was only asleep what the reaper posted in its name.
local amount = redis.call('HGET', KEYS[2], 'amount')
if not amount then return 0 end
if ARGV[6] ~= '' then
    local ends = redis.call('ZSCORE', KEYS[3], ARGV[1])
    if ends and tonumber(ends) > tonumber(ARGV[6]) then return 2 end
end
for place = 5, #KEYS do
    redis.call('HINCRBY', KEYS[place], 'h', '-' .. amount)
    redis.call('HINCRBY', KEYS[place], 's', ARGV[2])
end
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('XADD', KEYS[4], '*', 'e', ARGV[3])
if ARGV[4] ~= '' then redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5]) end
return 1
