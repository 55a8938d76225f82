-- One batch of one partition, all or nothing (DESIGN §4.1). Compares before it writes, so that a second
-- sending of the same commit, or another process, changes nothing.
--
-- KEYS: mark, catalog, customers, deadlines, outbox, outbox of computed traits, then the sets of members and the
-- indexes of scores that change.
-- ARGV: expected mark ('' = none), new mark, new catalog ('' = as it is), and a MessagePack array of arrays:
-- customers to HSET and HDEL, deadlines to ZADD and ZREM, outputs of both kinds (id, record), and for each of the
-- sets behind them what to ZADD and ZREM.
-- Returns the stored mark: the new one when written, another when refused.
local stored = redis.call('GET', KEYS[1]) or ''
if stored ~= ARGV[1] then
  return stored
end

local kinds = {'string', 'string', 'hash', 'zset', 'stream', 'stream'}
for index, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)['ok']
  if kind ~= 'none' and kind ~= (kinds[index] or 'zset') then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', nothing was written')
  end
end

local LONGEST = 1000 -- arguments of one command; Lua's stack is small
local sections = cmsgpack.unpack(ARGV[4])
local function call(command, key, arguments)
  for from = 1, #arguments, LONGEST do
    redis.call(command, key, unpack(arguments, from, math.min(from + LONGEST - 1, #arguments)))
  end
end

call('HSET', KEYS[3], sections[1])
call('HDEL', KEYS[3], sections[2])
call('ZADD', KEYS[4], sections[3])
call('ZREM', KEYS[4], sections[4])
for index = 5, 6 do
  local outputs = sections[index]
  for output = 1, #outputs, 2 do
    redis.call('XADD', KEYS[index], outputs[output], 'r', outputs[output + 1])
  end
end
for index = 7, #KEYS do
  call('ZADD', KEYS[index], sections[2 * index - 7])
  call('ZREM', KEYS[index], sections[2 * index - 6])
end
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3])
end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
