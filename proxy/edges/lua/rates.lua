-- What reserve, settle and give_up share of rate limits; it stands before each of them.
--
-- A window is two keys. The log, a sorted set, has a member for everything that happened, under its moment in ms:
-- "<id> <requests> <tokens> <nanos>". The sums, a hash, have its totals: r, t, n; and e, the ms at which both keys are
-- forgotten. What is settled at less than it was
-- reserved for is a second member under the first one's moment, so that both leave the window together.
-- Of calls under way (a window of 0 ms) the log has the hold's id, until the call is settled.
-- A moment that is a whole window old is outside: a limit of 3 a minute lets the fourth call in 60.000 s after the first.

-- Without the sign of a zero: what is given back of nothing is -0.
local function whole(number)
    return string.format('%.0f', number + 0)
end

local function member_of(name, requests, tokens, nanos)
    return string.format('%s %.0f %.0f %.0f', name, requests + 0, tokens + 0, nanos + 0)
end

local function amounts_of(member)
    local requests, tokens, nanos = string.match(member, ' (-?%d+) (-?%d+) (-?%d+)$')
    return {tonumber(requests), tonumber(tokens), tonumber(nanos)}
end

local function write_sums(sums, total)
    redis.call('HSET', sums, 'r', whole(total[1]), 't', whole(total[2]), 'n', whole(total[3]))
end

-- A window is kept for a minute after its last member has left it, or half of that: so it is not said for every call.
local KEPT = 60000

local function add_to_window(log, sums, window, now, member, total)
    redis.call('ZADD', log, now, member)
    if total.ends and total.ends - now > window + KEPT / 2 then return write_sums(sums, total) end
    redis.call('HSET', sums, 'r', whole(total[1]), 't', whole(total[2]), 'n', whole(total[3]),
        'e', whole(now + window + KEPT))
    redis.call('PEXPIRE', log, window + KEPT)
    redis.call('PEXPIRE', sums, window + KEPT)
end

-- So many members are forgotten by one call at most: whoever fills a long window and pauses must not stop Valkey for all.
local MOST_FORGOTTEN = 1000

-- The totals of a window, after what has left it is forgotten. Where too much has, the rest still counts, and the next
-- calls forget it: what has one moment goes together, a call and the difference to it. The sums are not written here: who
-- does not write them with the call (`is_behind`) writes them as they are.
local function total_of(log, sums, moment)
    local found = redis.call('HMGET', sums, 'r', 't', 'n', 'e')
    local total = {tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(found[3] or 0), ends = tonumber(found[4])}
    local old = redis.call('ZRANGEBYSCORE', log, '-inf', moment, 'LIMIT', 0, MOST_FORGOTTEN + 1)
    if #old > MOST_FORGOTTEN then
        moment = tonumber(redis.call('ZSCORE', log, old[#old])) - 1
        old = redis.call('ZRANGEBYSCORE', log, '-inf', moment)
    end
    if #old > 0 then
        for _, member in ipairs(old) do
            local amounts = amounts_of(member)
            for unit = 1, 3 do total[unit] = total[unit] - amounts[unit] end
        end
        redis.call('ZREMRANGEBYRANK', log, 0, #old - 1)
        total.is_behind = true
    end
    return total
end

-- After how many ms a window has room for this much more than it has now; a window's length where that is far away.
-- What has one moment leaves at once: a call and the difference to it.
local function wait_for(log, window, now, unit, excess)
    local members = redis.call('ZRANGE', log, 0, 999, 'WITHSCORES')
    for at = 1, #members, 2 do
        excess = excess - amounts_of(members[at])[unit]
        if excess <= 0 and members[at + 3] ~= members[at + 1] then
            return math.max(tonumber(members[at + 1]) + window - now, 1)
        end
    end
    return window
end

-- The call is over: add the difference to what it was reserved for to every window that it is still in.
local function adjust(id, windows, at, now, requests, tokens, nanos)
    local differs = requests ~= 0 or tokens ~= 0 or nanos ~= 0
    local member = differs and member_of(id .. "'", requests, tokens, nanos)
    for log, sums, window in string.gmatch(windows, '([^\n]+)\n([^\n]+)\n(%d+)\n') do
        if window == '0' then
            redis.call('ZREM', log, id)
        elseif differs and at + tonumber(window) > now then
            local found = redis.call('HMGET', sums, 'r', 't', 'n')
            if found[1] then
                redis.call('ZADD', log, at, member)
                write_sums(sums, {found[1] + requests, found[2] + tokens, found[3] + nanos})
            end
        end
    end
end

