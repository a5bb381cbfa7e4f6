"""State in Redis. Each method is one script, which Redis runs as a whole; it lasts as its server is set up to keep.

A space is four keys with one hash tag, so that they are on one machine of a cluster: values, the calls that set them,
the keys in order, and the bytes of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caxton.core.errors.values import InvalidValue
from caxton.tools.builtin.source import CannotCall
from caxton.tools.builtin.state import StoreFull

if TYPE_CHECKING:
    from caxton.tools.builtin.state import Room

MAX_CONNECTIONS = 8
"""Of one source; who finds none waits for one."""
CONNECT_S = 5.0

_PUT = """
local function put(key, value, call, entries, size)
  local old = redis.call('HGET', KEYS[1], key)
  local more = old and #value - #old or #key + #value
  local has = tonumber(redis.call('GET', KEYS[4]) or '0')
  if not old and redis.call('HLEN', KEYS[1]) >= tonumber(entries) then return -1 end
  if more > 0 and has + more > tonumber(size) then return -1 end
  redis.call('HSET', KEYS[1], key, value)
  if call == '' then redis.call('HDEL', KEYS[2], key) else redis.call('HSET', KEYS[2], key, call) end
  redis.call('ZADD', KEYS[3], 0, key)
  redis.call('INCRBY', KEYS[4], more)
  return 1
end
"""
_SET = _PUT + "return put(ARGV[1], ARGV[2], '', ARGV[3], ARGV[4])"
_COMPARE_AND_SET = (
    _PUT
    + """
if ARGV[3] ~= '' and redis.call('HGET', KEYS[2], ARGV[1]) == ARGV[3] then return 1 end
local found = redis.call('HGET', KEYS[1], ARGV[1])
if ARGV[6] == '1' then
  if found ~= ARGV[7] then return 0 end
elseif found then
  return 0
end
return put(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
"""
)
_DELETE = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('DECRBY', KEYS[4], #ARGV[1] + #old)
return 1
"""


class RedisStore:
    """See the module."""

    def __init__(self, url: str) -> None:
        """Connects when it is first used. Raises `InvalidValue`: the URL is none, or redis-py is not installed."""
        try:
            import redis.asyncio as library
        except ImportError:
            raise InvalidValue("store", "redis", "install Caxton with its extra 'redis'") from None
        self._library: Any = library
        try:
            pool = self._library.BlockingConnectionPool.from_url(
                url, max_connections=MAX_CONNECTIONS, timeout=None, socket_connect_timeout=CONNECT_S
            )
        except (ValueError, TypeError):
            rule = "write it like redis://HOST:PORT/0, rediss://… or unix:///PATH"
            raise InvalidValue("url", "…", rule) from None
        self._redis: Any = self._library.Redis(connection_pool=pool)
        self._set = self._redis.register_script(_SET)
        self._delete = self._redis.register_script(_DELETE)
        self._compare_and_set = self._redis.register_script(_COMPARE_AND_SET)

    async def get(self, space: str, key: bytes) -> bytes | None:
        return await self._ask(self._redis.hget(_places(space)[0], key))

    async def set(self, space: str, key: bytes, value: bytes, room: Room) -> None:
        arguments = (key, value, room.entries, room.size)
        _check_room(await self._ask(self._set(keys=_places(space), args=arguments)))

    async def delete(self, space: str, key: bytes) -> bool:
        return await self._ask(self._delete(keys=_places(space), args=(key,))) == 1

    async def keys(self, space: str, prefix: bytes, after: bytes, limit: int) -> list[bytes]:
        begin = b"(" + after if after >= prefix and after else b"[" + prefix
        end = b"[" + prefix + b"\xff"  # UTF-8 has no such byte
        return await self._ask(self._redis.zrangebylex(_places(space)[2], begin, end, start=0, num=limit))

    async def compare_and_set(
        self, space: str, key: bytes, expected: bytes | None, value: bytes, call: str, room: Room
    ) -> bool:
        has = ("0", b"") if expected is None else ("1", expected)
        arguments = (key, value, call, room.entries, room.size, *has)
        return _check_room(await self._ask(self._compare_and_set(keys=_places(space), args=arguments))) == 1

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)

    async def _ask(self, asked: Any) -> Any:
        try:
            return await asked
        except (self._library.RedisError, OSError) as exc:
            raise CannotCall("unavailable", "redis does not answer", cause=f"{type(exc).__name__}: {exc}") from None


def _places(space: str) -> list[str]:
    return [f"caxton:{{{space}}}:{kind}" for kind in ("values", "calls", "keys", "size")]


def _check_room(said: int) -> int:
    if said < 0:
        raise StoreFull
    return said
