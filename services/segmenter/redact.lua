-- Put other bytes in the place of outputs that are still kept. Written anew: an entry that is only deleted stays in
-- memory, and in every dump, as long as its neighbours.
-- KEYS: outbox. ARGV: id, record, id, record …
local instead = {}
for i = 1, #ARGV, 2 do instead[ARGV[i]] = ARGV[i + 1] end
local entries = redis.call('XRANGE', KEYS[1], '-', '+')
if #entries == 0 then return 0 end
redis.call('DEL', KEYS[1])
for _, entry in ipairs(entries) do
  redis.call('XADD', KEYS[1], entry[1], 'r', instead[entry[1]] or entry[2][2])
end
return #ARGV / 2
