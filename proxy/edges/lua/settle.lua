-- Settle: turn a hold into spend and write its ledger event, in one step.
--
-- KEYS  1 what became of the hold   2 the hold   3 leases   4 ledger stream   5.. the hold's counters
-- ARGV  1 hold id   2 cost in nanos   3 ledger event, JSON   4 what to leave behind, or ''   5 ms to leave it for
--       6 only if the lease ended before this ms, or '' for always   7 now, ms   8 tokens that were used, or '' for those
--       that were reserved
--
-- Answers 1 when it settled, 0 when there is no such hold (it was settled before, or expired and was reaped), 2 when
-- the lease was renewed meanwhile. Idempotent: the hold is gone after the first time.
-- What is left behind ('reaped ...') tells a worker that was only asleep what the reaper posted in its name.
local hold = call('HMGET', KEYS[2], 'amount', 'windows', 'tokens', 'at')
local amount = hold[1]
if not amount then return 0 end
if ARGV[6] ~= '' then
    local ends = call('ZSCORE', KEYS[3], ARGV[1])
    if ends and tonumber(ends) > tonumber(ARGV[6]) then return 2 end
end
for place = 5, #KEYS do
    call('HINCRBY', KEYS[place], 'h', whole(-tonumber(amount)))
    -- One that would overflow stays where it is: the event must be written all the same.
    redis.pcall('HINCRBY', KEYS[place], 's', ARGV[2])
end
-- whoever watches budgets need not look at those that stood still
if #KEYS > 4 then call('SADD', string.match(KEYS[4], '^[^:]*') .. ':moved', unpack(KEYS, 5)) end
if hold[2] then
    local reserved = tonumber(hold[3])
    local tokens = ARGV[8] == '' and reserved or tonumber(ARGV[8])
    adjust(ARGV[1], hold[2], tonumber(hold[4]), tonumber(ARGV[7]), 0, tokens - reserved, tonumber(ARGV[2]) - tonumber(amount))
end
call('DEL', KEYS[2])
call('ZREM', KEYS[3], ARGV[1])
call('XADD', KEYS[4], '*', 'e', ARGV[3])
if ARGV[4] ~= '' then call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5]) end
return 1
