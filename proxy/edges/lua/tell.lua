-- Tell: what a response in the background says goes into its stream, as long as the shard has room for it. What ended
-- goes first, the oldest before the others; what is still being made is never left half told for another one.
--
-- KEYS  1 the response's stream   2 the shard's streams, by the ms until which each is kept   3 bytes of each, and under
--       the empty name of all
-- ARGV  1 the response's name   2 now, ms   3 ms for which it is kept   4 ms for which one that has ended is
--       5 ms for which a mere end is   6 bytes that the shard may keep
--       7 the call that asked   8 the number of the first event   9 the events; empty for the end of all
--
-- Answers 1, or 0 where there is no room
local call = redis.call
local name, now = ARGV[1], tonumber(ARGV[2])
local prefix = string.sub(KEYS[1], 1, -1 - #name)
local function forget(gone)
    call('DEL', prefix .. gone)
    call('ZREM', KEYS[2], gone)
    local size = call('HGET', KEYS[3], gone)
    if size then
        call('HDEL', KEYS[3], gone)
        call('HINCRBY', KEYS[3], '', '-' .. size)
    end
end
if ARGV[9] == '' then
    local is_told = call('EXISTS', KEYS[1]) == 1
    call('XADD', KEYS[1], '*', 'end', '1')
    call('PEXPIRE', KEYS[1], is_told and ARGV[4] or ARGV[5])
    if is_told then
        call('ZADD', KEYS[2], 'XX', now + tonumber(ARGV[4]), name)
        -- what the stream takes is known for as long as it is there
        call('PEXPIRE', KEYS[2], ARGV[3])
        call('PEXPIRE', KEYS[3], ARGV[3])
    end
    return 1
end
for _, gone in ipairs(call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)) do forget(gone) end
-- what a stream has around each piece is counted with it
local size = #ARGV[9] + 200
local room = tonumber(ARGV[6]) - size - tonumber(call('HGET', KEYS[3], '') or 0)
while room < 0 do
    local first = call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
    if not first[1] or first[1] == name or tonumber(first[2]) > now + tonumber(ARGV[4]) then return 0 end
    room = room + tonumber(call('HGET', KEYS[3], first[1]) or 0)
    forget(first[1])
end
call('XADD', KEYS[1], '*', 'by', ARGV[7], 'first', ARGV[8], 'events', ARGV[9])
call('PEXPIRE', KEYS[1], ARGV[3])
call('ZADD', KEYS[2], now + tonumber(ARGV[3]), name)
call('HINCRBY', KEYS[3], name, size)
call('HINCRBY', KEYS[3], '', size)
call('PEXPIRE', KEYS[2], ARGV[3])
call('PEXPIRE', KEYS[3], ARGV[3])
return 1
