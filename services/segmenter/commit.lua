-- One batch of one partition, all or nothing (DESIGN §4.1). Compares before it writes, so that a second
-- sending of the same commit, or another process, changes nothing.
--
-- KEYS: mark, catalog, customers, deadlines, outbox, then the sets of members that change.
-- ARGV: expected mark ('' = none), new mark, new catalog ('' = as it is), the changes as MessagePack.
-- Returns the stored mark: the new one when written, another when refused.
local stored = redis.call('GET', KEYS[1]) or ''
if stored ~= ARGV[1] then
  return stored
end

local kinds = {'string', 'string', 'hash', 'zset', 'stream'}
for index, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)['ok']
  if kind ~= 'none' and kind ~= (kinds[index] or 'zset') then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', nothing was written')
  end
end

local LONGEST = 1000 -- arguments of one command; Lua's stack is small
local function call(command, key, arguments)
  for first = 1, #arguments, LONGEST do
    redis.call(command, key, unpack(arguments, first, math.min(first + LONGEST - 1, #arguments)))
  end
end

local changes = cmsgpack.unpack(ARGV[4])
call('HSET', KEYS[3], changes.kept)
call('HDEL', KEYS[3], changes.forgotten)
call('ZADD', KEYS[4], changes.armed)
call('ZREM', KEYS[4], changes.disarmed)
for _, output in ipairs(changes.outputs) do
  redis.call('XADD', KEYS[5], output[1], 'r', output[2])
end
for index, members in ipairs(changes.members) do
  call('ZADD', KEYS[5 + index], members[1])
  call('ZREM', KEYS[5 + index], members[2])
end
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3])
end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
