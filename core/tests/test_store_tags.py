"""Which events have a tag is found without reading the others."""

from alicia_scheduler.api import EventState
from alicia_scheduler.api.store import SaveEvent
from alicia_scheduler.kernel.listing import page_of_tagged
from alicia_scheduler.store import STORE_FILE, SqliteStore
from alicia_scheduler.store import queries as queries_room
from alicia_scheduler.testing.kernel import make_event, running_kernel

TAGS = {"a": ("night", "büro"), "b": (), "c": ('say "hi"',), "d": ("night",), "e": ("x",)}


async def found(store, tags, limit=1000):
    ids, after = [], None
    while True:
        page, after = await store.tagged(tags, after_id=after, limit=limit)
        assert len(page) <= limit
        ids += page
        if after is None:
            return ids


async def tagged_store(store):
    await store.commit(
        [SaveEvent(make_event(name, tags=tags), EventState()) for name, tags in TAGS.items()]
    )


async def test_every_event_with_one_of_the_tags_is_found_once_in_order(tmp_path, monkeypatch):
    for scanned in (5000, 2):
        monkeypatch.setattr(queries_room, "SCANNED", scanned)
        async with SqliteStore.open(tmp_path / STORE_FILE) as store:
            await tagged_store(store)
            for limit in (1, 2, 1000):
                assert await found(store, ["night"], limit) == ["a", "d"]
                assert await found(store, ["büro"], limit) == ["a"]
                assert await found(store, ['say "hi"', "x"], limit) == ["c", "e"]
                assert await found(store, ["none"], limit) == []


async def test_a_definition_that_only_speaks_of_a_tag_is_left_out_of_the_page():
    async with running_kernel() as under_test:
        kernel = under_test.kernel
        await tagged_store(kernel.store)
        await kernel.store.commit([SaveEvent(make_event("f", name="night"), EventState())])
        assert "f" in await found(kernel.store, ["night"])
        page, after = await page_of_tagged(kernel, ["night"])
        assert ([record.event.event_id for record in page], after) == (["a", "d"], None)
