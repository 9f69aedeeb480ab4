-- Rebuild: set counters to what the ledger says, plus what is on its way to the ledger.
--
-- KEYS  1 epoch   2 ledger stream   3 leases   4.. the counters
-- ARGV  1 the epoch's name, to open it if it is not open: these are all counters of the shard that matter; or ''
--       2 count the stream's events from this id on
--       then for each counter: settled nanos in PostgreSQL | first ms | ms after the last | ms at which it may be
--       forgotten | JSON of what an event must match: {"org_id": ..., "lineage": ..., "tag": {"name": ..., "value": ...}},
--       for the mark of a budget that is the default of many with {"each": ...}, the name of its subjects | 1 if the
--       budget is older than the period: whoever holds money in it holds it in this counter | the key of the oldest
--       version of its organisation that calls may be planned by | the version as it is now, or a later one
--
-- The caller holds the shard's drain lock; every event before that id is in the sums that it brings, none after.
-- Counters are set, never added to. What is held is summed anew over the open holds. An event that is only written
-- again ('again') was counted under its first copy.
--
-- A counter that comes into being in the middle of its period, because its budget does, is joined by the open holds that
-- are of its scope: they were planned before there was one, and from now on are held and settled in it too. So that no
-- later one is planned without it, the organisation's oldest version is moved.
--
-- Answers {how many counters, nanos by which those that were there were wrong, too much or too little}
-- The period of an event is that of its started_at_ms, as it was when its money was reserved.
local A_COUNTER, HEAD, FIRST_KEY = 8, 2, 3
local SINCE_KEPT_MS = 86400000
local counters = #KEYS - FIRST_KEY
local settled, held, first, last, match, each, place_of, before = {}, {}, {}, {}, {}, {}, {}, {}
-- the places of the counters that begin now, the marks among them
local begun = {}
for place = 1, counters do
    local at = HEAD + (place - 1) * A_COUNTER
    local key = KEYS[FIRST_KEY + place]
    settled[place], held[place] = tonumber(ARGV[at + 1]), 0
    first[place], last[place] = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    match[place] = cjson.decode(ARGV[at + 5])
    each[place], match[place].each = match[place].each, nil
    place_of[key] = place
    before[place] = redis.call('HGET', key, 's')
    if not before[place] and ARGV[at + 6] ~= '1' then
        begun[#begun + 1] = place
        local since, version = ARGV[at + 7], tonumber(ARGV[at + 8])
        local known = redis.call('GET', since)
        if not known or tonumber(known) < version then redis.call('SET', since, version, 'PX', SINCE_KEPT_MS) end
    end
end

-- A key and those that it came from by rotation are one; what an older release wrote says nothing of them. A hold is of the
-- model that is asked now.
local function value_of(event, name)
    if name == 'model' then return event.model or event.request_model end
    return event[name] or (name == 'lineage' and event.key_id) or nil
end

-- What an event cost by model: its attempts name theirs, and what they do not name is of the model that was asked for.
local function costs_by_model(event)
    local costs, rest = {}, event.effective_cost
    for _, attempt in ipairs(event.attempts or {}) do
        local model = attempt.model
        if type(model) == 'string' and model ~= '' then
            costs[model] = (costs[model] or 0) + attempt.cost
            rest = rest - attempt.cost
        end
    end
    if rest ~= 0 and event.request_model then costs[event.request_model] = (costs[event.request_model] or 0) + rest end
    return costs
end

-- ``is_hold``: of a model's counters a hold is in those of one model, an event may be in those of several.
local function is_within(event, place, is_hold)
    if event.started_at_ms < first[place] or event.started_at_ms >= last[place] then return false end
    for name, value in pairs(match[place]) do
        if name == 'model' and not is_hold then
            -- see costs_by_model
        elseif name == 'tag' then
            if event.tags[value.name] ~= value.value then return false end
        elseif value_of(event, name) ~= value then
            return false
        end
    end
    return true
end

-- The counters of whoever is not among those that were counted: nobody knew of them when the ledger was asked.
local others, is_there, subject_of = {}, {}, {}
local function find_others(event, place, models)
    local found, name = {}, each[place]
    local subjects = {}
    if name == 'model' and models then
        for model in pairs(models) do subjects[#subjects + 1] = model end
    elseif name == 'tag' then
        for tag, value in pairs(event.tags) do subjects[#subjects + 1] = tag .. '=' .. value end
    else
        local subject = value_of(event, name)
        if subject and subject ~= '' then subjects[1] = subject end
    end
    for _, subject in ipairs(subjects) do
        local key = KEYS[FIRST_KEY + place] .. subject
        if is_there[key] == nil then
            is_there[key] = place_of[key] ~= nil or redis.call('EXISTS', key) == 1
        end
        if not is_there[key] then
            others[key] = others[key] or {settled = 0, held = 0, place = place}
            found[#found + 1] = key
            subject_of[key] = subject
        end
    end
    return found
end

for _, entry in ipairs(redis.call('XRANGE', KEYS[2], ARGV[2], '+')) do
    local event = cjson.decode(entry[2][2])
    if entry[2][3] ~= 'again' then
        local models = costs_by_model(event)
        for place = 1, counters do
            if not each[place] and is_within(event, place) then
                local model = match[place].model
                settled[place] = settled[place] + (model and (models[model] or 0) or event.effective_cost)
            end
        end
        for _, place in ipairs(begun) do
            if each[place] and is_within(event, place) then
                for _, key in ipairs(find_others(event, place, models)) do
                    local cost = each[place] == 'model' and models[subject_of[key]] or event.effective_cost
                    others[key].settled = others[key].settled + cost
                end
            end
        end
    end
end

-- Nanos that are held in these counters, for the call of this row, join those that begin now and are of its scope. Gives
-- the names of the counters with theirs, and theirs alone.
local function join_part(row, amount, names)
    local known, joined = '\n' .. names .. '\n', {}
    local function add(counter)
        if string.find(known, '\n' .. counter .. '\n', 1, true) then return false end
        joined[#joined + 1] = counter
        return true
    end
    for _, place in ipairs(begun) do
        if is_within(row, place, true) then
            if each[place] then
                for _, counter in ipairs(find_others(row, place)) do
                    others[counter].held = others[counter].held + amount
                    add(counter)
                end
            elseif add(KEYS[FIRST_KEY + place]) then
                held[place] = held[place] + amount
            end
        end
    end
    local more = table.concat(joined, '\n')
    return names ~= '' and more ~= '' and names .. '\n' .. more or names .. more, more
end

-- So do what a call holds, and what its tries at models that were asked before may have been billed.
local function join(key, hold, amount)
    local is_row, row = pcall(cjson.decode, hold[3])
    if not is_row or type(row) ~= 'table' or type(row.started_at_ms) ~= 'number' then return end
    -- one that was turned holds nothing until its next model is reserved, by a plan that knows of them
    if not hold[7] then
        local counters, more = join_part(row, amount, hold[2])
        if more ~= '' then
            redis.call('HSET', key, 'counters', counters,
                -- its worker does not know of these
                'joined', hold[4] and hold[4] .. '\n' .. more or more)
        end
    end
    if not hold[5] then return end
    local next_model = string.gmatch(hold[6] or '', '([^\n]*)\n')
    local before = string.gsub(hold[5], '(%d+)\n(.-)\n\n', function(cost, names)
        row.model = next_model() or row.model
        return cost .. '\n' .. join_part(row, tonumber(cost), names) .. '\n\n'
    end)
    if before ~= hold[5] then redis.call('HSET', key, 'before', before) end
end

local prefix = string.match(KEYS[3], '^({s%d+}:)') .. 'hold:'
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    local hold = redis.call('HMGET', prefix .. id, 'amount', 'counters', 'row', 'joined', 'before', 'asked', 'turned')
    local amount = tonumber(hold[1])
    if amount then
        for counter in string.gmatch(hold[2], '[^\n]+') do
            local place = place_of[counter]
            if place then held[place] = held[place] + amount end
        end
        -- of models that were asked before (turn.lua)
        for cost, its in string.gmatch(hold[5] or '', '(%d+)\n(.-)\n\n') do
            for counter in string.gmatch(its, '[^\n]+') do
                local place = place_of[counter]
                if place then held[place] = held[place] + tonumber(cost) end
            end
        end
        if #begun > 0 then join(prefix .. id, hold, amount) end
    end
end

local drift = 0
local function write(key, spent, in_flight, forgotten_at)
    redis.call('HSET', key, 's', string.format('%.0f', math.min(spent, 9e18)), 'h', string.format('%.0f', in_flight))
    redis.call('PEXPIREAT', key, forgotten_at)
end
for place = 1, counters do
    local key, was = KEYS[FIRST_KEY + place], before[place]
    settled[place] = math.min(settled[place], 9e18)
    if was then drift = drift + math.abs(tonumber(was) - settled[place]) end
    -- who watches budgets looks at those that were set to something else
    if was and tonumber(was) ~= settled[place] then
        redis.call('SADD', string.match(KEYS[3], '^[^:]*') .. ':moved', key)
    end
    write(key, settled[place], held[place], ARGV[HEAD + (place - 1) * A_COUNTER + 4])
end
for key, other in pairs(others) do
    write(key, other.settled, other.held, ARGV[HEAD + (other.place - 1) * A_COUNTER + 4])
end
if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1], 'NX') end
return {counters, string.format('%.0f', drift)}
