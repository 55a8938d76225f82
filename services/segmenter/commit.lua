-- One batch of one partition, all or nothing (DESIGN §4.1). Compares before it writes, so that a second
-- sending of the same commit, or another process, changes nothing.
--
-- KEYS: mark, catalog, customers, deadlines, outbox, then the sets of members that change.
-- ARGV: expected mark ('' = none), new mark, new catalog ('' = as it is), then sections, each its length and
-- that many arguments: customers to HSET and HDEL, deadlines to ZADD and ZREM, outputs (id, record), and for
-- each set of members what to ZADD and ZREM.
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
local at = 4
local function section(apply)
  local first, last = at + 1, at + tonumber(ARGV[at])
  at = last + 1
  for from = first, last, LONGEST do
    apply(from, math.min(from + LONGEST - 1, last))
  end
end
local function call(command, key)
  section(function(from, to) redis.call(command, key, unpack(ARGV, from, to)) end)
end

call('HSET', KEYS[3])
call('HDEL', KEYS[3])
call('ZADD', KEYS[4])
call('ZREM', KEYS[4])
section(function(from, to)
  for output = from, to, 2 do
    redis.call('XADD', KEYS[5], ARGV[output], 'r', ARGV[output + 1])
  end
end)
for index = 6, #KEYS do
  call('ZADD', KEYS[index])
  call('ZREM', KEYS[index])
end
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3])
end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
