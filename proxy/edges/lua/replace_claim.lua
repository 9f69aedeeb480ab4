-- Replace a claim: what an Idempotency-Key stands for is changed only by the call that claimed it.
--
-- KEYS  1 the key's name
-- ARGV  1 request id of the call   2 its answer, or '' to give the claim back   3 seconds to keep the answer
--
-- The value is a line of JSON with the request id, then the answer. Answers 1 when it was changed, 0 when the claim is
-- another call's, or nobody's.
local value = redis.call('GET', KEYS[1])
if not value then return 0 end
local head = cjson.decode(string.match(value, '^[^\n]*'))
if head.request_id ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
