-- Reserve: set money aside for one attempt, in every budget on its path at once, or in none.
--
-- KEYS  1 epoch   2 what became of the hold   3 the hold   4 leases   5.. the counters, hashes with
--       s = settled nanos, h = held nanos
-- ARGV  1 hold id   2 the ledger row as it stands, JSON
--       3 numbers, as little-endian doubles:
--         1 now, ms             2 end of lease, ms      3 attempt number, from 1
--         4 pico-USD whatever the answer                5 pico-USD an output token (of all choices)
--         6 output tokens wanted   7 fewest output tokens worth having
--         8 1 when the input was counted exactly, 0 when it is only bounded
--         9 most that the caller will pay, nanos, or -1
--         then for each counter: limit in nanos, or -1 for a budget that only watches | 1 if a missing counter is a
--         true zero | ms at which the counter may be forgotten
--
-- Answers {1, output tokens granted, nanos held, nanos left in the tightest budget or -1, epoch}
--      or {0, place of the counter that cannot take it, settled, held, nanos needed}
--      or {-1}         the hold was given up before we came to it
--      or {-2, place, ...}  these counters are not known; 0 means that the whole shard's are not
--      or {-3}         it would be tight: count the input exactly and come again
--      or {-4}         the caller's own limit cannot take it
--
-- Idempotent by hold id and attempt number. A later attempt adds to the same hold: one call is one hold is one row.
-- Money is exact: a limit is at most 9e15 nanos, and below it a Lua number holds every integer. The rounding of picos
-- is the one in costhub.lib.money: up, once an attempt.
local closed = redis.call('GET', KEYS[2])
if closed then return {-1} end

local epoch = redis.call('GET', KEYS[1])
local held = redis.call('HMGET', KEYS[3], 'amount', 'attempt', 'output')
local counters = #KEYS - 4
local number = {struct.unpack('<' .. string.rep('d', 9 + 3 * counters), ARGV[3])}
local ends, attempt = number[2], number[3]
if held[1] and tonumber(held[2]) >= attempt then
    return {1, tonumber(held[3]), tonumber(held[1]), -1, epoch}
end
-- a later attempt that comes too late: its call was settled meanwhile
if attempt > 1 and not held[1] then return {-1} end
if not epoch then return {-2, 0} end

local fixed, per_token, wanted = number[4], number[5], number[6]
local is_exact = number[8] == 1
local function cost_of(tokens)
    local picos = fixed + per_token * tokens
    local rest = picos % 1000
    return (picos - rest) / 1000 + (rest > 0 and 1 or 0)
end
local fewest = math.min(number[7], wanted)
local full, least = cost_of(wanted), cost_of(fewest)

local unknown, known = {-2}, {}
for place = 1, counters do
    known[place] = redis.call('HMGET', KEYS[4 + place], 's', 'h')
    -- a default budget whose spenders were all counted has a mark under the empty subject: who is not there spent nothing
    if not known[place][1] and number[9 + 3 * place - 1] ~= 1
        and redis.call('EXISTS', string.match(KEYS[4 + place], '^.-:budget:[^:]*:%-?%d+:')) == 0 then
        unknown[#unknown + 1] = place
    end
end
if #unknown > 1 then return unknown end

-- the room in the tightest hard budget
local room, tightest = nil, nil
local own = number[9]
if own >= 0 then
    room = own - tonumber(held[1] or 0)
    if room < least then
        if not is_exact then return {-3} end
        return {-4}
    end
end
for place = 1, counters do
    local limit = number[9 + 3 * place - 2]
    local now = known[place]
    if limit >= 0 then
        local settled, in_flight = tonumber(now[1] or 0), tonumber(now[2] or 0)
        local left = limit - settled - in_flight
        if left < least then
            if not is_exact then return {-3} end
            return {0, place, settled, in_flight, least}
        end
        -- A loose bound is let in only where it cannot crowd out anybody: the last tenth is given out by exact counts.
        if not is_exact and left - full < limit / 10 then return {-3} end
        if not tightest or left < tightest then tightest = left end
        if not room or left < room then room = left end
    end
end

local granted = wanted
if room and full > room then
    if not is_exact then return {-3} end
    granted = math.min(wanted, math.floor((room * 1000 - fixed) / per_token))
end
local amount = cost_of(granted)
local text = string.format('%.0f', amount)
for place = 1, counters do
    local key = KEYS[4 + place]
    if redis.call('HINCRBY', key, 'h', text) == amount then
        redis.call('HSETNX', key, 's', 0)
        redis.call('PEXPIREAT', key, number[9 + 3 * place])
    end
end
if held[1] then
    redis.call('HINCRBY', KEYS[3], 'amount', text)
    redis.call('HSET', KEYS[3], 'attempt', attempt, 'output', granted)
    amount = tonumber(redis.call('HGET', KEYS[3], 'amount'))
else
    redis.call('HSET', KEYS[3], 'amount', text, 'attempt', attempt, 'output', granted, 'row', ARGV[2],
        'counters', table.concat(KEYS, '\n', 5))
end
redis.call('ZADD', KEYS[4], ends, ARGV[1])
return {1, granted, amount, tightest and tightest - tonumber(text) or -1, epoch}
