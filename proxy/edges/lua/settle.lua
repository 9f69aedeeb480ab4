-- Settle: turn holds into spend and write their ledger events, all in one step.
--
-- KEYS  1 leases   2 ledger stream   then for each hold: what became of it   the hold
-- ARGV  1 now, ms   2 only if the lease ended before this ms, or '' for always   3 ms to leave marks for
--       then for each hold: its id | cost in nanos, since another model was asked last | ledger event, JSON | tokens that were used, or '' for those that were
--       reserved | what to leave behind, or ''
--
-- Answers for each hold 1 when it was settled, 0 when there is no such hold (it was settled before, or expired and was
-- reaped), 2 when its lease was renewed meanwhile. Idempotent: a hold is gone after the first time.
-- What is left behind ('reaped ...') tells a worker that was only asleep what the reaper posted in its name.
-- Calls that end together mostly have the same counters and windows: each of those is written once for all of them.
local HEAD, A_HOLD = 3, 5
-- Beyond this a Lua number is not exact, or not for long. More than that of a call is of a tenant's own upstream that
-- reports what cannot be: it is added to counters by itself, and counts no further in windows.
local MOST = 1e15
local now, only_before = tonumber(ARGV[1]), tonumber(ARGV[2])

local answers, gone, keys, ids, joined = {}, {}, {}, {}, {}
-- by the holds' counters, and by their windows
local spent, ended = {}, {}
local function post(counters, held, cost)
    local sums = spent[counters]
    if not sums then
        sums = {held = 0, costs = {}}
        spent[counters] = sums
    end
    sums.held = sums.held + held
    sums.costs[#sums.costs + 1] = cost
end
for place = 1, (#KEYS - 2) / 2 do
    local at = HEAD + (place - 1) * A_HOLD
    local id, cost, tokens, key = ARGV[at + 1], ARGV[at + 2], ARGV[at + 4], KEYS[2 + 2 * place]
    local hold = call('HMGET', key, 'amount', 'counters', 'windows', 'tokens', 'at', 'joined', 'before')
    local amount, counters, windows = tonumber(hold[1]), hold[2], hold[3]
    local lease = only_before and call('ZSCORE', KEYS[1], id)
    answers[place] = 0
    if lease and tonumber(lease) > only_before then
        answers[place] = 2
    elseif amount and not gone[id] then
        answers[place] = 1
        gone[id] = true
        keys[#keys + 1], ids[#ids + 1], joined[place] = key, id, hold[6]
        post(counters, amount, cost)
        -- of models that were asked before (turn.lua), each in its own budgets
        for before, its in string.gmatch(hold[7] or '', '(%d+)\n(.-)\n\n') do post(its, tonumber(before), before) end
        if windows then
            local reserved = tonumber(hold[4])
            local calls = ended[windows]
            if not calls then
                calls = {}
                ended[windows] = calls
            end
            calls[#calls + 1] = {
                id = id, at = tonumber(hold[5]), requests = 0,
                tokens = tokens == '' and 0 or math.min(tonumber(tokens), MOST) - reserved,
                nanos = math.min(tonumber(cost), MOST) - amount,
            }
        end
    end
end
if #ids == 0 then return answers end

-- First what must happen once, then the counters: whatever fails from here on, a hold is not settled twice, and the next
-- recount sets right what is missing.
for place, answer in ipairs(answers) do
    local at = HEAD + (place - 1) * A_HOLD
    if answer == 1 then call('XADD', KEYS[2], '*', 'e', ARGV[at + 3]) end
end
call('DEL', unpack(keys))
call('ZREM', KEYS[1], unpack(ids))
for place, answer in ipairs(answers) do
    local mark = ARGV[HEAD + (place - 1) * A_HOLD + 5]
    if answer == 1 and mark ~= '' then
        call('SET', KEYS[1 + 2 * place], mark, 'PX', ARGV[3])
        -- budgets that began while it was held: a correction is theirs too
        if joined[place] then call('SET', KEYS[1 + 2 * place] .. ':joined', joined[place], 'PX', ARGV[3]) end
    end
end

-- A cost that would overflow a counter stays out of it.
local watched = string.match(KEYS[1], '^[^:]*') .. ':moved'
for counters, sums in pairs(spent) do
    local together, apart = 0, {}
    for _, cost in ipairs(sums.costs) do
        if tonumber(cost) < MOST and together < MOST then
            together = together + tonumber(cost)
        else
            apart[#apart + 1] = cost
        end
    end
    local moved = {}
    for counter in string.gmatch(counters, '[^\n]+') do
        redis.pcall('HINCRBY', counter, 'h', whole(-sums.held))
        redis.pcall('HINCRBY', counter, 's', whole(together))
        for _, cost in ipairs(apart) do redis.pcall('HINCRBY', counter, 's', cost) end
        moved[#moved + 1] = counter
    end
    -- Whoever watches budgets need not look at those that stood still. So many at a time as Lua's stack takes.
    for first = 1, #moved, 1000 do
        call('SADD', watched, unpack(moved, first, math.min(first + 999, #moved)))
    end
end
for windows, calls in pairs(ended) do adjust(windows, calls, now) end
return answers
