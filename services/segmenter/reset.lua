-- Forget a partition and store a new mark, if nobody has committed since its keys were listed.
-- KEYS: mark, then every other key of the partition. ARGV: expected mark ('' = none), new mark.
local stored = redis.call('GET', KEYS[1]) or ''
if stored ~= ARGV[1] then
  return stored
end
for _, key in ipairs(KEYS) do
  redis.call('UNLINK', key)
end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
