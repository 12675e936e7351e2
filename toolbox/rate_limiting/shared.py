"""Counts in Redis, shared by all replicas: one script, so that all windows are looked at and counted in one step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolbox.rate_limiting.windows import Verdict, Window, decide
from toolbox.redis import redis_span

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = "toolbox:limit:"

# Redis's own clock counts, so replicas need not agree about the time. The decision is made of what is given back, by
# the same function as in memory; the script only decides whether to count.
_SCRIPT = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local cost = tonumber(ARGV[1])
local answer, fits, longest = {tostring(now)}, 1, 0
local turned = {}
for i = 2, #ARGV, 2 do
  local seconds, limit = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local index = math.floor(now / seconds)
  local kept = redis.call('HMGET', KEYS[1], 'i' .. seconds, 'c' .. seconds, 'p' .. seconds)
  local current, previous = 0, 0
  local known = tonumber(kept[1])
  if known == index then
    current, previous = tonumber(kept[2]), tonumber(kept[3])
  elseif known == index - 1 then
    previous = tonumber(kept[2])
  end
  if current + previous * (1 - (now % seconds) / seconds) + cost > limit then fits = 0 end
  if seconds > longest then longest = seconds end
  answer[#answer + 1] = tostring(current)
  answer[#answer + 1] = tostring(previous)
  turned[#turned + 1] = {seconds, index, current, previous}
end
if fits == 1 then
  for _, w in ipairs(turned) do
    redis.call('HSET', KEYS[1], 'i' .. w[1], w[2], 'c' .. w[1], w[3] + cost, 'p' .. w[1], w[4])
  end
  redis.call('EXPIRE', KEYS[1], 2 * longest)
end
return answer
"""


class SharedCounts:
    """Counts of all replicas."""

    def __init__(self, client: "Redis") -> None:
        self._take: Any = client.register_script(_SCRIPT)

    async def take(self, key: str, windows: Sequence[Window], cost: int = 1) -> Verdict:
        """Count a request if all windows have room for it.

        Raises:
            RedisError, OSError, TimeoutError: Redis does not answer.
        """
        arguments: list[Any] = [cost]
        for window in windows:
            arguments += [window.seconds, window.limit]
        with redis_span("EVALSHA"):
            taken = await self._take(keys=[PREFIX + key], args=arguments)
        now, *numbers = map(float, taken)
        pairs = [(int(current), previous) for current, previous in zip(numbers[::2], numbers[1::2], strict=True)]
        return decide(windows, pairs, cost, now)
