"""The tests' own ground: a real Redis, and a real Chromium."""

import uuid

import redis
from channels_redis.pubsub import RedisPubSubChannelLayer
from kombu import Connection
from playwright.sync_api import Page


def test_redis_keeps_everything_and_has_no_port(redis_client: redis.Redis) -> None:
    assert redis_client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    assert redis_client.config_get("appendonly")["appendonly"] == "yes"
    assert redis_client.config_get("port")["port"] == "0"


def test_celerys_transport_speaks_through_the_socket_file(redis_url: str) -> None:
    with Connection(redis_url.replace("unix://", "redis+socket://", 1)) as connection:
        queue = connection.SimpleQueue(f"ops-{uuid.uuid4()}")
        queue.put({"tile": 1})
        message = queue.get(timeout=5)
        message.ack()
        queue.close()
    assert message.payload == {"tile": 1}


async def test_channels_speaks_through_the_socket_file(redis_url: str) -> None:
    layer = RedisPubSubChannelLayer(hosts=[redis_url])
    channel = await layer.new_channel()
    await layer.group_add("ops", channel)
    await layer.group_send("ops", {"type": "wake", "seq": 3})
    assert await layer.receive(channel) == {"type": "wake", "seq": 3}
    await layer.flush()


def test_chromium_draws_a_page(page: Page) -> None:
    page.set_content("<h1>Tessera</h1>")
    assert page.locator("h1").inner_text() == "Tessera"
