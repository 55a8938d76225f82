"""The log's Lua scripts: each is one atomic step of the server.

Numbers go into text by `%.0f`: Lua's own conversion rounds above 14 digits. `allow-oom` marks what a full
server must still do, or nothing would ever free memory: keep leases, store commits, trim.
"""

APPEND = """#!lua
-- KEYS: records, meta. ARGV: latest server time at which this may land, then the records.
-- Without allow-oom a full server refuses the script before its first write: all or none.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if now > tonumber(ARGV[1]) then return {-2, now} end
local first = redis.call('HGET', KEYS[2], 'end')
if not first then return {-1, now} end
first = tonumber(first)
local time = string.format('%.0f', now)
for i = 2, #ARGV do
  redis.call('XADD', KEYS[1], string.format('%.0f-0', first + i - 1), 't', time, 'r', ARGV[i])
end
redis.call('HSET', KEYS[2], 'end', string.format('%.0f', first + #ARGV - 1))
redis.call('PUBLISH', KEYS[1], '')
return {first, now}
"""

APPEND_UNKNOWN = -1
APPEND_LATE = -2

COMMIT = """#!lua flags=allow-oom
-- KEYS: committed. ARGV: group, next offset.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and tonumber(known) >= tonumber(ARGV[2]) then return 0 end
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
"""

ACQUIRE = """#!lua flags=allow-oom
-- KEYS: lease. ARGV: token, time to live in ms. Returns 0 when it is ours, else ms until it may be free.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return math.max(1, redis.call('PTTL', KEYS[1])) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0
"""

RELEASE = """#!lua flags=allow-oom
-- KEYS: lease. ARGV: token.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', KEYS[1], '')
return 1
"""

TRIM = """#!lua flags=allow-oom
-- KEYS: records, meta, committed. ARGV: age in ms from which records may go, most records to keep whatever
-- their age (0: any number), most records to remove now, then the groups that must have passed a record.
-- What was appended before an old record is old as well, even where the clock stepped back: so the search
-- for the first young record may be binary.
local clock = redis.call('TIME')
local oldest = clock[1] * 1000 + math.floor(clock[2] / 1000) - tonumber(ARGV[1])
local meta = redis.call('HMGET', KEYS[2], 'begin', 'end')
if not meta[1] then return 0 end
local first, stop, keep = tonumber(meta[1]), tonumber(meta[2]), tonumber(ARGV[2])
local high = math.min(stop, first + tonumber(ARGV[3]))
for i = 4, #ARGV do
  high = math.min(high, tonumber(redis.call('HGET', KEYS[3], ARGV[i]) or first))
end
local low = first
if keep > 0 then low = math.max(low, math.min(high, stop - keep)) end
while low < high do
  local middle = math.floor((low + high) / 2)
  local id = string.format('%.0f-0', middle + 1)
  local fields = redis.call('XRANGE', KEYS[1], id, id)[1][2]
  if tonumber(fields[2]) <= oldest then low = middle + 1 else high = middle end
end
if low > first then
  redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', low + 1))
  redis.call('HSET', KEYS[2], 'begin', string.format('%.0f', low))
end
return low - first
"""

REWRITE = """#!lua
-- KEYS: records, copy. ARGV: most records to copy now, what stands in for an erased record, then the IDs of those.
-- Goes on behind what is copied. Appends come meanwhile: the call that finds no more puts the copy in place. An
-- entry that is only deleted would stay in memory, and in every dump, as long as its neighbours.
local erased = {}
for i = 3, #ARGV do erased[ARGV[i]] = true end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local entries = redis.call('XRANGE', KEYS[1], last and '(' .. last[1] or '-', '+', 'COUNT', ARGV[1])
for _, entry in ipairs(entries) do
  local record = erased[entry[1]] and ARGV[2] or entry[2][4]
  redis.call('XADD', KEYS[2], entry[1], 't', entry[2][2], 'r', record)
end
if #entries == tonumber(ARGV[1]) then return 0 end
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end
return 1
"""
