-- Give back: a call for which money was set aside is served in another way, and reserves anew under its own id. Nobody was
-- asked anything yet. Nothing stays of what was reserved, not even a mark, and there is no event: the call goes on.
--
-- KEYS  1 the hold   2 leases
-- ARGV  1 hold id
--
-- Answers 1, or 0 where there is no such hold: it was settled or reaped meanwhile.
local hold = call('HMGET', KEYS[1], 'amount', 'counters', 'windows', 'tokens', 'attempt')
local amount = tonumber(hold[1])
if not amount then return 0 end
call('DEL', KEYS[1])
call('ZREM', KEYS[2], ARGV[1])
for counter in string.gmatch(hold[2], '[^\n]+') do redis.pcall('HINCRBY', counter, 'h', whole(-amount)) end
if not hold[3] then return 1 end
-- The next reserve has a member of the same name: it would move this one to its own moment, and count for both.
local tokens = tonumber(hold[4])
local member = member_of(ARGV[1] .. '#' .. hold[5], 1, tokens, amount)
for name, window in string.gmatch(hold[3], '([^ \n]+) (%d+)\n') do
    local log, key = name .. ':calls', name .. ':total'
    if window == '0' then
        redis.pcall('SREM', log, ARGV[1])
    elseif redis.pcall('ZREM', log, member) == 1 then
        -- not GET, which fails where the key holds something else
        local value = call('MGET', key)[1]
        if is_total(value) then
            local total = read_total(value)
            total[1], total[2], total[3] = total[1] - 1, total[2] - tokens, total[3] - amount
            write_total(key, total)
        end
    end
end
return 1
