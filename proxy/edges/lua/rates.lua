-- What scripts that reserve, settle or undo share of rate limits; it stands before each of them.
--
-- A window is two keys. The log, a sorted set, has a member for everything that happened, under its moment in ms:
-- "<id> <requests> <tokens> <nanos>". What is settled at less than it was reserved for is a second member under the first
-- one's moment, so that both leave the window together. The total is one value of five doubles, because few commands are
-- what makes a window cheap: requests, tokens, nanos; the moment up to which the log was forgotten; the moment at which both
-- keys are. A moment that is a whole window old is outside: a limit of 3 a minute lets the fourth call in 60.000 s after
-- the first.
-- Of calls under way (a window of 0 ms) the log is a set of the holds' ids, until the calls are settled.
local call = redis.call
local pack, unpack_numbers, format = struct.pack, struct.unpack, string.format

-- An integer as text: Lua's own has an exponent from 1e14 on. Any below 2^53 is written whole.
local function whole(number)
    return format('%d', number)
end

local function member_of(name, requests, tokens, nanos)
    return format('%s %d %d %d', name, requests, tokens, nanos)
end

local function amounts_of(member)
    local requests, tokens, nanos = string.match(member, ' (-?%d+) (-?%d+) (-?%d+)$')
    return {tonumber(requests), tonumber(tokens), tonumber(nanos)}
end

local SEEN, ENDS = 4, 5
-- What is no total is none: a reserve or a settle must not stumble over it.
local function is_total(value)
    return value and #value == 40
end

local function read_total(value)
    return is_total(value) and {unpack_numbers('<ddddd', value)} or {0, 0, 0, 0, 0}
end

local function write_total(key, total)
    call('SETRANGE', key, 0, pack('<ddddd', total[1], total[2], total[3], total[SEEN], total[ENDS]))
end

-- A window is kept for a minute after its last member has left it, or half of that: so it is not said for every call. A log
-- that became empty meanwhile has lost its own end: then the last time that it was said is a whole window ago.
local KEPT = 60000

-- ``entries`` are moments and members, in turns.
local function add_to_window(log, key, window, now, entries, total)
    call('ZADD', log, unpack(entries))
    local is_renewed = total[ENDS] - now <= math.max(window + KEPT / 2, KEPT)
    if is_renewed then total[ENDS] = now + window + KEPT end
    write_total(key, total)
    if is_renewed then
        call('PEXPIRE', log, window + KEPT)
        call('PEXPIRE', key, window + KEPT)
    end
end

-- What has left a window is taken off its total every so many ms, and at once where a call would not fit otherwise: so a
-- busy window is looked through for many calls together, and what a call is told to be left is no older than that.
local FORGOTTEN_EVERY = 10
-- So many members are forgotten by one call at most: whoever fills a long window and pauses must not stop Valkey for all.
local MOST_FORGOTTEN = 1000

-- Take off a total what is as old as ``moment``. Where that is too much, the rest still counts, and the next calls forget
-- it: what has one moment goes together, a call and the difference to it.
local function forget(log, key, total, moment)
    local old = call('ZRANGEBYSCORE', log, '-inf', moment, 'LIMIT', 0, MOST_FORGOTTEN + 1)
    if #old > MOST_FORGOTTEN then
        local last = tonumber(call('ZSCORE', log, old[#old]))
        -- a moment in which more than that happened is forgotten whole
        moment = tonumber(call('ZSCORE', log, old[1])) < last and last - 1 or last
        old = call('ZRANGEBYSCORE', log, '-inf', moment)
    end
    total[SEEN] = moment
    if #old > 0 then
        for _, member in ipairs(old) do
            local amounts = amounts_of(member)
            for unit = 1, 3 do total[unit] = total[unit] - amounts[unit] end
        end
        call('ZREMRANGEBYRANK', log, 0, #old - 1)
        write_total(key, total)
    end
end

-- After how many ms a window has room for this much more than it has now; a window's length where that is far away.
-- What has one moment leaves at once: a call and the difference to it.
local function wait_for(log, window, now, unit, excess)
    local members = call('ZRANGE', log, 0, 999, 'WITHSCORES')
    for at = 1, #members, 2 do
        excess = excess - amounts_of(members[at])[unit]
        if excess <= 0 and members[at + 3] ~= members[at + 1] then
            return math.max(tonumber(members[at + 1]) + window - now, 1)
        end
    end
    return window
end

-- Calls are over: add the differences to what they were reserved for to every window that they are still in. ``calls`` are
-- tables of id, at, requests, tokens and nanos, all of the same windows.
local function adjust(windows, calls, now)
    local logs, keys, lengths = {}, {}, {}
    for name, window in string.gmatch(windows, '([^ \n]+) (%d+)\n') do
        local log = name .. ':calls'
        if window == '0' then
            -- in a hold of the version before, this names a key of another kind
            for _, one in ipairs(calls) do redis.pcall('SREM', log, one.id) end
        else
            local place = #keys + 1
            logs[place], keys[place], lengths[place] = log, name .. ':total', tonumber(window)
        end
    end
    if #keys == 0 then return end
    for place, value in ipairs(call('MGET', unpack(keys))) do
        local total, entries = read_total(value), {}
        for _, one in ipairs(calls) do
            local differs = one.requests ~= 0 or one.tokens ~= 0 or one.nanos ~= 0
            if is_total(value) and differs and one.at + lengths[place] > now then
                local at = #entries
                entries[at + 1] = one.at
                entries[at + 2] = member_of(one.id .. "'", one.requests, one.tokens, one.nanos)
                total[1], total[2], total[3] = total[1] + one.requests, total[2] + one.tokens, total[3] + one.nanos
            end
        end
        if #entries > 0 then
            call('ZADD', logs[place], unpack(entries))
            write_total(keys[place], total)
        end
    end
end

