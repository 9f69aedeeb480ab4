-- Reserve: set money aside for attempts of calls, for each in every budget and rate limit on its path at once, or in none.
--
-- Calls that come together and have the same budgets and windows are reserved together, one after the other: what they
-- share is read once and written once for all of them.
--
-- KEYS  1 epoch   2 leases   3 the oldest version of the organisation that a call may be planned by
--       4.. the counters, hashes with s = settled nanos, h = held nanos, r = the limit at which
--       it refused a call last; then for each window its log and its total; then, of budgets to whose limit is added what was left of the period before, that period's counters;
--       then for each call what became of its hold, and the hold
-- ARGV  1 numbers, as little-endian doubles:
--         1 now, ms             2 end of leases, ms     3 how many counters   4 how many counters of the period before
--         5 fewest output tokens worth having           6 the version of the organisation that the plans are made by
--         7 how many counters the calls are held in: of those behind them only the ladder is looked at
--         then for each counter: limit in nanos, or -1 for a budget that only watches | 1 if a missing counter is a
--         true zero | ms at which the counter may be forgotten | 1 if the limit is only a shadow
--         then for each window: its length in ms, 0 for calls under way | the most requests, tokens and nanos in it, or
--         -1 | 1 if it is only a shadow
--         then for each counter of the period before: the place of the counter that it belongs to | that budget's own
--         limit, of which what was left is added | its limit with the increases in force | the per cent of that and what
--         is added from which on it refuses | ms from which on something is added
--         then for each counter of a budget with a ladder: its place | the spend from which to below which the plan holds,
--         in nanos, or of a budget to which something is added, in per cent of the limit with that
--       2 of each window what its keys begin with and its length, a line each, for holds to remember
--       then for each call: its hold's id | the ledger row as it stands, JSON | numbers, as above:
--         1 attempt, from 1   2 pico-USD whatever the answer   3 pico-USD an output token (of all choices)
--         4 output tokens wanted   5 1 when the input was counted exactly, 0 when it is only bounded
--         6 most that the caller will pay, nanos, or -1   7 input tokens   8 choices
--
-- Answers for each call
--         {1, output tokens granted, nanos held, nanos left in the tightest budget or -1, epoch,
--          {requests, tokens, nanos of each window, with this call},
--          {place of each shadow that would have refused it; after the counters three a window, one a unit}};
--          of an attempt that was reserved before: -1, the epoch, and both empty
--      or {0, place of the counter that cannot take it, settled, held, nanos needed, and what was added to its limit if
--          it is such a budget}
--      or {-1}         the hold was given up before we came to it, or a later attempt's was settled
--      or {-2, place, ...}  these counters are not known, those of the period before numbered on; 0 means that the whole
--          shard's are not
--      or {-3}         it would be tight: count the input exactly and come again
--      or {-4}         the caller's own limit cannot take it
--      or {-5, place of the window, unit from 1, what is in it, what is needed, ms until there is room}
--      or {-6, place of the counter, settled + held, what was added to its limit, ...}   these are on other rungs of their
--          ladders: plan anew
--      or {-7, version}   a budget has begun of which the plan does not know: plan anew, by this version or a later one
--
-- Idempotent by hold id and attempt number. A later attempt adds to the same hold: one call is one hold is one row.
-- Money is exact: a limit is at most 9e15 nanos, and below it a Lua number holds every integer. The rounding of picos
-- is the one in costhub.lib.money: up, once an attempt.
-- This is Lua's own interpreter, a slow one: here a local is cheaper than an index, and that than a call of a function.
local number = {unpack_numbers('<' .. string.rep('d', #ARGV[1] / 8), ARGV[1])}
local now, ends, counters, befores, fewest_worth, version, counted =
    number[1], number[2], number[3], number[4], number[5], number[6], number[7]
local HEAD_ARGS, A_CALL = 2, 3
local calls = (#ARGV - HEAD_ARGS) / A_CALL
local windows = (#KEYS - 3 - counters - befores - 2 * calls) / 2

-- behind the first numbers stand those of the counters, the windows, the periods before and the ladders
local HEAD, A_COUNTER, A_WINDOW, A_BEFORE, A_LADDER = 7, 4, 5, 5, 3
local LIMIT, IS_WHOLE, KEPT_UNTIL, IS_SHADOW = 1, 2, 3, 4
local LENGTH, IS_SHADOW_WINDOW = 1, 5  -- between them the most of each unit
local PLACE, OWN, WHOLE, SHARE, FROM_MS = 1, 2, 3, 4, 5
local WINDOWS = HEAD + A_COUNTER * counters
local BEFORES = WINDOWS + A_WINDOW * windows
local LADDERS = BEFORES + A_BEFORE * befores
-- behind all the numbers stands one more: where struct stopped to read
local LAST_LADDER = #number - 1 - A_LADDER
-- how many keys stand before the first counter's, and so on; a window's are its log and its total
local COUNTER_KEYS = 3
local WINDOW_KEYS = COUNTER_KEYS + counters
local BEFORE_KEYS = WINDOW_KEYS + 2 * windows
local CALL_KEYS = BEFORE_KEYS + befores

-- the epoch, the oldest version, then each window's total, then what became of each call's hold
local TOTALS, CLOSED = 2, 2 + windows
local asked, hold_keys = {KEYS[1], KEYS[3]}, {}
for place = 1, windows do asked[TOTALS + place] = KEYS[WINDOW_KEYS + 2 * place] end
for each = 1, calls do
    asked[CLOSED + each], hold_keys[each] = KEYS[CALL_KEYS + 2 * each - 1], KEYS[CALL_KEYS + 2 * each]
end
local values = call('MGET', unpack(asked))
local epoch = values[1]
local is_outdated = values[2] and version < tonumber(values[2])

-- By key: what calls hold; in the end, with what they hold then. Mostly nobody holds anything yet.
local holds = {}
if call('EXISTS', unpack(hold_keys)) > 0 then
    for _, key in ipairs(hold_keys) do
        local known = call('HMGET', key, 'amount', 'attempt', 'output', 'tokens', 'turned', 'gone')
        holds[key] = known[1] and {
            amount = tonumber(known[1]), attempt = tonumber(known[2]), output = tonumber(known[3]),
            tokens = tonumber(known[4] or 0),
            -- another model is asked now (turn.lua), and what was asked before has cost so much
            is_turned = known[5] and true or nil, gone = tonumber(known[6] or 0),
        }
    end
end

-- a default budget whose spenders were all counted has a mark under the empty subject: who is not there spent nothing
local function has_mark(counter)
    return call('EXISTS', string.match(counter, '^.-:budget:[^:]*:%-?%d+:')) == 1
end

local unknown, settled, in_flight = {-2}, {}, {}
for place = 1, counters do
    local counter = KEYS[COUNTER_KEYS + place]
    local known = call('HMGET', counter, 's', 'h')
    settled[place], in_flight[place] = tonumber(known[1]) or 0, tonumber(known[2]) or 0
    if not known[1] and number[HEAD + A_COUNTER * (place - 1) + IS_WHOLE] ~= 1 and not has_mark(counter) then
        unknown[#unknown + 1] = place
    end
end

-- As costhub.lib.money and proxy.core.budgets have it.
local MOST = 9000000000000000
local function share_of(nanos, percent)
    local rest = nanos % 100
    return math.min((nanos - rest) / 100 * percent + math.floor(rest * percent / 100), MOST)
end

-- What was left of the period before, by place of the counter. It is added only when no call can spend it there any more:
-- all have come, none is in flight.
local rolled, whole_limit = {}, {}
for before = 1, befores do
    local at, counter = BEFORES + A_BEFORE * (before - 1), KEYS[BEFORE_KEYS + before]
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

-- What is in each window; of calls under way, how many.
local totals = {}
for place = 1, windows do
    local log, key = KEYS[WINDOW_KEYS + 2 * place - 1], KEYS[WINDOW_KEYS + 2 * place]
    local window, value = number[WINDOWS + A_WINDOW * (place - 1) + LENGTH], values[TOTALS + place]
    if window == 0 then
        totals[place] = {call('SCARD', log), 0, 0}
    else
        -- without its total a log says nothing
        if not is_total(value) then call('DEL', log, key) end
        local total = read_total(value)
        if now - window >= total[SEEN] + FORGOTTEN_EVERY then forget(log, key, total, now - window) end
        totals[place] = total
    end
end

-- The ladders' budgets that are not on the rungs that calls were planned for.
local function find_crossed()
    local crossed = {-6}
    for at = LADDERS, LAST_LADDER, A_LADDER do
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
    return #crossed > 1 and crossed
end

-- The first unit of a window that cannot take so much more, after what has left the window is taken off.
local function find_full(place, total, needed)
    local at = WINDOWS + A_WINDOW * (place - 1)
    for unit = 1, 3 do
        local limit, more = number[at + LENGTH + unit], needed[unit]
        if limit >= 0 and more > 0 and total[unit] + more > limit then
            local moment = now - number[at + LENGTH]
            -- or behind it: another process's clock is ahead
            if total[SEEN] and moment ~= total[SEEN] then
                forget(KEYS[WINDOW_KEYS + 2 * place - 1], KEYS[WINDOW_KEYS + 2 * place], total, moment)
            end
            if total[unit] + more > limit then return unit end
        end
    end
end

-- What is to be written in the end, beside the holds.
local touched = {}    -- keys of those that changed, in the order in which they came
local entries = {}    -- for windows' logs: moments and members
local under_way = {}  -- ids
local leases = {}     -- ends and ids
local added = 0       -- what each counter holds more than before

local function reserve(each)
    if values[CLOSED + each] then return {-1} end
    local at, key = HEAD_ARGS + A_CALL * (each - 1), hold_keys[each]
    local id, row = ARGV[at + 1], ARGV[at + 2]
    local attempt, fixed, per_token, wanted, exact, max_cost, input_tokens, choices =
        unpack_numbers('<dddddddd', ARGV[at + 3])
    local is_exact = exact == 1
    local hold = holds[key]
    if hold and hold.attempt >= attempt then return {1, hold.output, hold.amount, -1, epoch, {}, {}} end
    -- a later attempt that comes too late: its call was settled meanwhile
    if attempt > 1 and not hold then return {-1} end
    if is_outdated then return {-7, tonumber(values[2])} end
    if not epoch then return {-2, 0} end
    if #unknown > 1 then return unknown end
    local crossed = attempt == 1 and find_crossed()
    if crossed then return crossed end

    local function cost_of(tokens)
        local picos = fixed + per_token * tokens
        local rest = picos % 1000
        return (picos - rest) / 1000 + (rest > 0 and 1 or 0)
    end
    local full, least = cost_of(wanted), cost_of(math.min(fewest_worth, wanted))
    local shadows = {}
    -- what is left in the tightest hard budget, and what may be spent: that, or what the caller's own limit leaves
    local tightest, room
    if max_cost >= 0 then
        room = max_cost - (hold and hold.amount + hold.gone or 0)
        if room < least then return {is_exact and -4 or -3} end
    end
    for place = 1, counted do
        local at = HEAD + A_COUNTER * (place - 1)
        local limit = number[at + LIMIT]
        if limit >= 0 then
            local left, is_shadow = limit - settled[place] - in_flight[place], number[at + IS_SHADOW] == 1
            if left < least then
                if not is_exact then return {-3} end
                if not is_shadow then
                    -- A limit that was lowered moves no counter: who watches budgets hears of it by what it refuses.
                    call('SADD', string.match(KEYS[1], '^[^:]*') .. ':moved', KEYS[COUNTER_KEYS + place])
                    -- A hard budget is never quite used up: its end is when what is spent leaves too little for a call,
                    -- whatever becomes of the calls in flight. A dear call that a fresh budget cannot take is no end.
                    local spent = settled[place]
                    if spent + least > limit and spent > limit / 2 then
                        call('HSET', KEYS[COUNTER_KEYS + place], 'r', whole(limit))
                    end
                    return {0, place, settled[place], in_flight[place], least, rolled[place]}
                end
                shadows[#shadows + 1] = place
            end
            if not is_shadow then
                -- A loose bound is let in only where it cannot crowd out anybody: the last tenth is given out by exact
                -- counts.
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

    -- a later attempt is no further request
    local needed = {(hold and not hold.is_turned) and 0 or 1, input_tokens + granted * choices, amount}
    for place = 1, windows do
        local at, total = WINDOWS + A_WINDOW * (place - 1), totals[place]
        local unit = find_full(place, total, needed)
        if unit then
            if not is_exact and unit > 1 then return {-3} end
            if number[at + IS_SHADOW_WINDOW] ~= 1 then
                local had, more, window = total[unit], needed[unit], number[at + LENGTH]
                -- when a call under way ends nobody knows
                local wait = 1000
                if window > 0 then
                    local log, excess = KEYS[WINDOW_KEYS + 2 * place - 1], had + more - number[at + LENGTH + unit]
                    wait = wait_for(log, window, now, unit, excess)
                end
                return {-5, place, unit, had, more, wait}
            end
            for other = unit, 3 do
                local limit = number[at + LENGTH + other]
                if limit >= 0 and needed[other] > 0 and total[other] + needed[other] > limit then
                    if not is_exact and other > 1 then return {-3} end
                    shadows[#shadows + 1] = counters + 3 * (place - 1) + other
                end
            end
        end
    end

    -- Everything fits.
    local used = {}
    for place = 1, windows do
        local total, told = totals[place], 3 * (place - 1)
        total[1] = total[1] + needed[1]
        -- of calls under way only their number counts
        if total[SEEN] then total[2], total[3] = total[2] + needed[2], total[3] + needed[3] end
        used[told + 1], used[told + 2], used[told + 3] = total[1], total[2], total[3]
    end
    for place = 1, counted do in_flight[place] = in_flight[place] + amount end
    added = added + amount
    if not hold then
        hold = {amount = 0, tokens = 0, gone = 0, row = row}
        holds[key] = hold
    elseif hold.is_turned then
        hold.row, hold.is_turned = row, false
    end
    hold.amount, hold.tokens = hold.amount + amount, hold.tokens + needed[2]
    hold.attempt, hold.output = attempt, granted
    if not hold.is_touched then
        hold.is_touched, touched[#touched + 1], under_way[#under_way + 1] = true, key, id
        leases[#leases + 1], leases[#leases + 2] = ends, id
    end
    entries[#entries + 1], entries[#entries + 2] = now, member_of(id .. '#' .. attempt, needed[1], needed[2], needed[3])
    return {1, granted, hold.amount, tightest and tightest - amount or -1, epoch, used, shadows}
end

local answers = {}
for each = 1, calls do answers[each] = reserve(each) end
if #touched == 0 then return answers end

-- From here on it is only written. Leases first: the reaper finds by them whatever comes to be held.
call('ZADD', KEYS[2], unpack(leases))
for place = 1, windows do
    local log, window = KEYS[WINDOW_KEYS + 2 * place - 1], number[WINDOWS + A_WINDOW * (place - 1) + LENGTH]
    if window == 0 then
        call('SADD', log, unpack(under_way))
    else
        add_to_window(log, KEYS[WINDOW_KEYS + 2 * place], window, now, entries, totals[place])
    end
end
local more = whole(added)
for place = 1, counted do
    local key = KEYS[COUNTER_KEYS + place]
    if call('HINCRBY', key, 'h', more) == added then
        call('HSETNX', key, 's', 0)
        call('PEXPIREAT', key, number[HEAD + A_COUNTER * (place - 1) + KEPT_UNTIL])
    end
end
local names = table.concat(KEYS, '\n', COUNTER_KEYS + 1, COUNTER_KEYS + counted)
for _, key in ipairs(touched) do
    local hold = holds[key]
    local amount, tokens = whole(hold.amount), whole(hold.tokens)
    if hold.is_turned == false then call('HDEL', key, 'turned') end
    if not hold.row then
        -- it was there before, and keeps what its first attempt said
        call('HSET', key, 'amount', amount, 'attempt', hold.attempt, 'output', hold.output)
        if windows > 0 then call('HSET', key, 'tokens', tokens) end
    elseif windows > 0 then
        call('HSET', key, 'amount', amount, 'attempt', hold.attempt, 'output', hold.output, 'row', hold.row,
            'counters', names, 'tokens', tokens, 'at', now, 'windows', ARGV[2])
    else
        call('HSET', key, 'amount', amount, 'attempt', hold.attempt, 'output', hold.output, 'row', hold.row,
            'counters', names)
    end
end
return answers
