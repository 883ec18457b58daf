-- Take up to ARGV[1] tokens out of every bucket in KEYS, or out of none; ARGV[2] = 'fill' makes the
-- one bucket full if it does not exist. The same arithmetic as gcra.py, in microseconds of the
-- server's clock. Per bucket four arguments: interval (us), burst, starts full (0 or 1), time to
-- live (ms). Answers {tokens given, microseconds until one more}.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local wanted = tonumber(ARGV[1])
local rounding = 0.000001

local function store(key, full_at, interval, ttl)
    -- '%.0f': a Lua number as text keeps 14 digits only, and microseconds since 1970 have 16
    redis.call('HSET', key, 'f', string.format('%.0f', full_at), 'i', string.format('%.6f', interval))
    redis.call('PEXPIRE', key, ttl)
end

local held = {}
local given = wanted
for n, key in ipairs(KEYS) do
    local at = 2 + (n - 1) * 4
    local interval, burst = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local known = redis.call('HMGET', key, 'f', 'i')
    if ARGV[2] == 'fill' then
        if not known[1] then store(key, now, interval, ARGV[at + 4]) end
        return {0, 0}
    end
    local missing = burst
    if known[1] then
        missing = math.max(0, tonumber(known[1]) - now) / tonumber(known[2])
    elseif ARGV[at + 3] == '1' then
        missing = 0
    end
    held[n] = math.max(0, burst - missing)
    given = math.min(given, math.floor(held[n] + rounding))
end

local wait = 0
for n, key in ipairs(KEYS) do
    local at = 2 + (n - 1) * 4
    local interval, burst = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local left = math.max(0, held[n] - given)
    store(key, math.ceil(now + (burst - left) * interval), interval, ARGV[at + 4])
    wait = math.max(wait, math.max(0, 1 - rounding - left) * interval)
end
return {given, math.ceil(wait)}
