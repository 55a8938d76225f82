-- Leases tokens of many buckets at once, by the server's clock. KEYS: the buckets. ARGV: for each of them the rate in
-- tokens per second, the burst, and how many are wanted. Answers the time in ms, then for each what was given and,
-- as text, what is left. A bucket that is full again expires.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {now}
for i, key in ipairs(KEYS) do
  local rate, burst, wanted = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local kept = redis.call('HMGET', key, 'level', 'at')
  local level, at = burst, now
  if kept[1] then
    at = tonumber(kept[2])
    level = math.min(burst, tonumber(kept[1]) + math.max(0, now - at) * rate / 1000)
    at = math.max(at, now)
  end
  local granted = math.min(wanted, math.floor(level))
  level = level - granted
  local left = string.format('%.17g', level)
  redis.call('HSET', key, 'level', left, 'at', string.format('%.0f', at))
  redis.call('PEXPIRE', key, math.ceil(burst * 1000 / rate) + 1000)
  answer[#answer + 1] = granted
  answer[#answer + 1] = left
end
return answer
