-- Reserve: set money aside for one attempt, in every budget and rate limit on its path at once, or in none.
--
-- KEYS  1 epoch   2 what became of the hold   3 the hold   4 leases   5.. the counters, hashes with
--       s = settled nanos, h = held nanos; then for each window its log and its total; then, of budgets to whose limit
--       is added what was left of the period before, that period's counters
-- ARGV  1 hold id   2 the ledger row as it stands, JSON   4 of each window what its keys begin with
--       and its length, a line each, for the hold to remember
--       3 numbers, as little-endian doubles:
--         1 now, ms             2 end of lease, ms      3 attempt number, from 1
--         4 pico-USD whatever the answer                5 pico-USD an output token (of all choices)
--         6 output tokens wanted   7 fewest output tokens worth having
--         8 1 when the input was counted exactly, 0 when it is only bounded
--         9 most that the caller will pay, nanos, or -1
--         10 how many counters   11 input tokens   12 choices   13 how many counters of the period before
--         then for each counter: limit in nanos, or -1 for a budget that only watches | 1 if a missing counter is a
--         true zero | ms at which the counter may be forgotten | 1 if the limit is only a shadow
--         then for each window: its length in ms, 0 for calls under way | the most requests, tokens and nanos in it, or
--         -1 | 1 if it is only a shadow
--         then for each counter of the period before: the place of the counter that it belongs to | that budget's own
--         limit, of which what was left is added | its limit with the increases in force | the per cent of that and what
--         is added from which on it refuses | ms from which on something is added
--         then for each counter of a budget with a ladder: its place | the spend from which to below which the plan holds,
--         in nanos, or of a budget to which something is added, in per cent of the limit with that
--
-- Answers {1, output tokens granted, nanos held, nanos left in the tightest budget or -1, epoch,
--          {requests, tokens, nanos of each window, with this call},
--          {place of each shadow that would have refused it; after the counters three a window, one a unit}}
--      or {0, place of the counter that cannot take it, settled, held, nanos needed, and what was added to its limit if
--          it is such a budget}
--      or {-1}         the hold was given up before we came to it
--      or {-2, place, ...}  these counters are not known, those of the period before numbered on; 0 means that the whole
--          shard's are not
--      or {-3}         it would be tight: count the input exactly and come again
--      or {-4}         the caller's own limit cannot take it
--      or {-5, place of the window, unit from 1, what is in it, what is needed, ms until there is room}
--      or {-6, place of the counter, settled + held, what was added to its limit, ...}   these are on other rungs of their
--          ladders: plan anew
--
-- Idempotent by hold id and attempt number. A later attempt adds to the same hold: one call is one hold is one row.
-- Money is exact: a limit is at most 9e15 nanos, and below it a Lua number holds every integer. The rounding of picos
-- is the one in costhub.lib.money: up, once an attempt.
-- This is Lua's own interpreter, a slow one: here a local is cheaper than an index, and that than a call of a function.
local number = {unpack_numbers('<' .. string.rep('d', #ARGV[3] / 8), ARGV[3])}
local now, ends, attempt, counters, befores = number[1], number[2], number[3], number[10], number[13]
local windows = (#KEYS - 4 - counters - befores) / 2

-- behind the first thirteen numbers stand those of the counters, the windows, the periods before and the ladders
local HEAD, A_COUNTER, A_WINDOW, A_BEFORE, A_LADDER = 13, 4, 5, 5, 3
local LIMIT, IS_WHOLE, KEPT_UNTIL, IS_SHADOW = 1, 2, 3, 4
local LENGTH, IS_SHADOW_WINDOW = 1, 5  -- between them the most of each unit
local PLACE, OWN, WHOLE, SHARE, FROM_MS = 1, 2, 3, 4, 5
local WINDOWS = HEAD + A_COUNTER * counters
local BEFORES = WINDOWS + A_WINDOW * windows
local LADDERS = BEFORES + A_BEFORE * befores
-- a window's log is the first key behind these, and its total the one behind that
local LOGS = 3 + counters

local values = {KEYS[2], KEYS[1]}
for place = 1, windows do values[2 + place] = KEYS[LOGS + 2 * place + 1] end
values = call('MGET', unpack(values))
local closed, epoch = values[1], values[2]
if closed then return {-1} end
local held = call('HMGET', KEYS[3], 'amount', 'attempt', 'output')
if held[1] and tonumber(held[2]) >= attempt then
    return {1, tonumber(held[3]), tonumber(held[1]), -1, epoch, {}, {}}
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

-- a default budget whose spenders were all counted has a mark under the empty subject: who is not there spent nothing
local function has_mark(counter)
    return call('EXISTS', string.match(counter, '^.-:budget:[^:]*:%-?%d+:')) == 1
end

local unknown, settled, in_flight = {-2}, {}, {}
for place = 1, counters do
    local known = call('HMGET', KEYS[4 + place], 's', 'h')
    settled[place], in_flight[place] = tonumber(known[1]) or 0, tonumber(known[2]) or 0
    if not known[1] and number[HEAD + A_COUNTER * (place - 1) + IS_WHOLE] ~= 1 and not has_mark(KEYS[4 + place]) then
        unknown[#unknown + 1] = place
    end
end

-- As costhub.lib.money and proxy.core.limits have it.
local MOST = 9000000000000000
local function share_of(nanos, percent)
    local rest = nanos % 100
    return math.min((nanos - rest) / 100 * percent + math.floor(rest * percent / 100), MOST)
end

-- What was left of the period before, by place of the counter. It is added only when no call can spend it there any more:
-- all have come, none is in flight.
local rolled, whole_limit = {}, {}
for before = 1, befores do
    local at, counter = BEFORES + A_BEFORE * (before - 1), KEYS[LOGS + 1 + 2 * windows + before]
    local place, known = number[at + PLACE], call('HMGET', counter, 's', 'h')
    if not known[1] and not has_mark(counter) then unknown[#unknown + 1] = counters + before end
    rolled[place] = 0
    if now >= number[at + FROM_MS] and tonumber(known[2] or 0) == 0 then
        rolled[place] = math.max(number[at + OWN] - tonumber(known[1] or 0), 0)
    end
    whole_limit[place] = math.min(number[at + WHOLE] + rolled[place], MOST)
    local limit = HEAD + A_COUNTER * (place - 1) + LIMIT
    number[limit] = number[limit] < 0 and -1 or share_of(whole_limit[place], number[at + SHARE])
end
if #unknown > 1 then return unknown end

local crossed = {-6}
-- behind all the numbers stands one more: where struct stopped to read
for at = LADDERS, attempt == 1 and #number - 1 - A_LADDER or 0, A_LADDER do
    local place, from, below = number[at + 1], number[at + 2], number[at + 3]
    if rolled[place] then
        from, below = share_of(whole_limit[place], from), share_of(whole_limit[place], below)
    end
    local spent = settled[place] + in_flight[place]
    if spent < from or spent >= below then
        crossed[#crossed + 1] = place
        crossed[#crossed + 1] = spent
        crossed[#crossed + 1] = rolled[place] or 0
    end
end
if #crossed > 1 then return crossed end

local shadows = {}
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
    local at = HEAD + A_COUNTER * (place - 1)
    local limit = number[at + LIMIT]
    if limit >= 0 then
        local left, is_shadow = limit - settled[place] - in_flight[place], number[at + IS_SHADOW] == 1
        if left < least then
            if not is_exact then return {-3} end
            if not is_shadow then
                -- A limit that was lowered moves no counter: who watches budgets hears of it by what it refuses.
                call('SADD', string.match(KEYS[1], '^[^:]*') .. ':moved', KEYS[4 + place])
                return {0, place, settled[place], in_flight[place], least, rolled[place]}
            end
            shadows[#shadows + 1] = place
        end
        if not is_shadow then
            -- A loose bound is let in only where it cannot crowd out anybody: the last tenth is given out by exact counts.
            if not is_exact and left - full < limit / 10 then return {-3} end
            if not tightest or left < tightest then tightest = left end
            if not room or left < room then room = left end
        end
    end
end

local granted = wanted
if room and full > room then
    if not is_exact then return {-3} end
    granted = math.min(wanted, math.floor((room * 1000 - fixed) / per_token))
end
local amount = cost_of(granted)
local text = whole(amount)

-- a later attempt is no further request
local needed = {held[1] and 0 or 1, number[11] + granted * number[12], amount}
local totals, used = {}, {}
-- The first unit of a window that cannot take the call, after what has left the window is taken off.
local function find_full(total, at, log, key, moment)
    for unit = 1, 3 do
        local limit, more = number[at + LENGTH + unit], needed[unit]
        if limit >= 0 and more > 0 and total[unit] + more > limit then
            -- or behind it: another process's clock is ahead
            if total[SEEN] and moment ~= total[SEEN] then forget(log, key, total, moment) end
            if total[unit] + more > limit then return unit end
        end
    end
end
for place = 1, windows do
    local at, log, key = WINDOWS + A_WINDOW * (place - 1), KEYS[LOGS + 2 * place], KEYS[LOGS + 2 * place + 1]
    local window, total = number[at + LENGTH], nil
    local moment = now - window
    if window == 0 then
        total = {call('SCARD', log), 0, 0}
    else
        -- without its total a log says nothing
        if not is_total(values[2 + place]) then call('DEL', log, key) end
        total = read_total(values[2 + place])
        if moment >= total[SEEN] + FORGOTTEN_EVERY then forget(log, key, total, moment) end
    end
    totals[place] = total
    local unit = find_full(total, at, log, key, moment)
    if unit then
        if not is_exact and unit > 1 then return {-3} end
        if number[at + IS_SHADOW_WINDOW] ~= 1 then
            local had, more = total[unit], needed[unit]
            local wait = window == 0 and 1000 or wait_for(log, window, now, unit, had + more - number[at + LENGTH + unit])
            return {-5, place, unit, had, more, wait}
        end
        for each = unit, 3 do
            local limit = number[at + LENGTH + each]
            if limit >= 0 and needed[each] > 0 and total[each] + needed[each] > limit then
                if not is_exact and each > 1 then return {-3} end
                shadows[#shadows + 1] = counters + 3 * (place - 1) + each
            end
        end
    end
    local told = 3 * (place - 1)
    total[1], total[2], total[3] = total[1] + needed[1], total[2] + needed[2], total[3] + needed[3]
    used[told + 1], used[told + 2], used[told + 3] = total[1], total[2], total[3]
end

-- Everything fits. From here on it is only written.
local member = windows > 0 and member_of(ARGV[1] .. '#' .. attempt, needed[1], needed[2], needed[3])
for place = 1, windows do
    local log, window = KEYS[LOGS + 2 * place], number[WINDOWS + A_WINDOW * (place - 1) + LENGTH]
    if window == 0 then
        call('SADD', log, ARGV[1])
    else
        add_to_window(log, KEYS[LOGS + 2 * place + 1], window, now, member, totals[place])
    end
end
for place = 1, counters do
    local key = KEYS[4 + place]
    if call('HINCRBY', key, 'h', text) == amount then
        call('HSETNX', key, 's', 0)
        call('PEXPIREAT', key, number[HEAD + A_COUNTER * (place - 1) + KEPT_UNTIL])
    end
end
if held[1] then
    call('HINCRBY', KEYS[3], 'amount', text)
    call('HSET', KEYS[3], 'attempt', attempt, 'output', granted)
    amount = tonumber(call('HGET', KEYS[3], 'amount'))
    if windows > 0 then call('HINCRBY', KEYS[3], 'tokens', whole(needed[2])) end
elseif windows > 0 then
    call('HSET', KEYS[3], 'amount', text, 'attempt', attempt, 'output', granted, 'row', ARGV[2],
        'counters', table.concat(KEYS, '\n', 5, 4 + counters),
        'tokens', whole(needed[2]), 'at', now, 'windows', ARGV[4])
else
    call('HSET', KEYS[3], 'amount', text, 'attempt', attempt, 'output', granted, 'row', ARGV[2],
        'counters', table.concat(KEYS, '\n', 5, 4 + counters))
end
call('ZADD', KEYS[4], ends, ARGV[1])
return {1, granted, amount, tightest and tightest - tonumber(text) or -1, epoch, used, shadows}
