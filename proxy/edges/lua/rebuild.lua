-- Rebuild: set counters to what the ledger says, plus what is on its way to the ledger.
--
-- KEYS  1 epoch   2 ledger stream   3 leases   4.. the counters
-- ARGV  1 the epoch's name, to open it if it is not open: these are all counters of the shard that matter; or ''
--       2 count the stream's events from this id on
--       then for each counter: settled nanos in PostgreSQL | first ms | ms after the last | ms at which it may be
--       forgotten | JSON of what an event must match: {"org_id": ..., "key_id": ..., "tag": {"name": ..., "value": ...}}
--
-- The caller holds the shard's drain lock; every event before that id is in the sums that it brings, none after.
-- Counters are set, never added to. What is held is summed anew over the open holds. An event that is only written
-- again ('again') was counted under its first copy.
--
-- Answers {how many counters, nanos by which those that were there were wrong, too much or too little}
-- The period of an event is that of its started_at_ms, as it was when its money was reserved.
local counters = #KEYS - 3
local settled, held, first, last, match = {}, {}, {}, {}, {}
for place = 1, counters do
    local at = 2 + (place - 1) * 5
    settled[place], held[place] = tonumber(ARGV[at + 1]), 0
    first[place], last[place] = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    match[place] = cjson.decode(ARGV[at + 5])
end

local function matches(event, wanted)
    for name, value in pairs(wanted) do
        if name == 'tag' then
            if event.tags[value.name] ~= value.value then return false end
        elseif event[name] ~= value then
            return false
        end
    end
    return true
end

for _, entry in ipairs(redis.call('XRANGE', KEYS[2], ARGV[2], '+')) do
    local event = cjson.decode(entry[2][2])
    for place = 1, entry[2][3] == 'again' and 0 or counters do
        if event.started_at_ms >= first[place] and event.started_at_ms < last[place] and matches(event, match[place]) then
            settled[place] = settled[place] + event.effective_cost
        end
    end
end

local place_of = {}
for place = 1, counters do place_of[KEYS[3 + place]] = place end
local prefix = string.match(KEYS[3], '^({s%d+}:)') .. 'hold:'
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    local hold = redis.call('HMGET', prefix .. id, 'amount', 'counters')
    if hold[1] then
        for counter in string.gmatch(hold[2], '[^\n]+') do
            local place = place_of[counter]
            if place then held[place] = held[place] + tonumber(hold[1]) end
        end
    end
end

local drift = 0
for place = 1, counters do
    local key = KEYS[3 + place]
    local before = redis.call('HGET', key, 's')
    settled[place] = math.min(settled[place], 9e18)
    if before then drift = drift + math.abs(tonumber(before) - settled[place]) end
    -- who watches budgets looks at those that were set to something else
    if before and tonumber(before) ~= settled[place] then
        redis.call('SADD', string.match(KEYS[3], '^[^:]*') .. ':moved', key)
    end
    redis.call('HSET', key, 's', string.format('%.0f', settled[place]), 'h', string.format('%.0f', held[place]))
    redis.call('PEXPIREAT', key, ARGV[2 + (place - 1) * 5 + 4])
end
if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1], 'NX') end
return {counters, string.format('%.0f', drift)}
