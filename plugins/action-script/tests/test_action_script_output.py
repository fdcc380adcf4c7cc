"""What is kept of a program's output, and what is told of it while it runs."""

import json

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from alicia_action_script.captured import JSON_LIMIT, Captured, Lines, kept_texts
from alicia_scheduler.api import Retryable

LIMIT = 64 * 1024


async def test_output_within_the_limit_is_whole(bench):
    result = await bench.run("/bin/cat", stdin="ä" * 10_000)
    assert result["stdout"] == "ä" * 10_000
    assert (result["stdout_bytes"], result["left_out"]) == (20_000, 0)


async def test_of_a_flood_the_beginning_and_the_end_are_kept_and_the_rest_is_counted(bench):
    result = await bench.sh("echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert result["stdout"].startswith("first\nxxx")
    assert result["stdout"].endswith("xxx\nlast\n")
    assert result["stdout_bytes"] == 20_000_012
    assert f"… {result['left_out']} bytes left out …" in result["stdout"]
    kept = result["stdout_bytes"] - result["left_out"]
    assert LIMIT / 2 < kept <= LIMIT


async def test_both_outputs_share_the_limit(bench):
    script = "yes out | head -c 1000000; yes err | head -c 1000000 >&2"
    result = await bench.sh(script, output_limit=10_000)
    assert len(result["stdout"]) + len(result["stderr"]) < 10_200
    assert len(result["stderr"]) > 2400
    assert result["left_out"] > 1_989_000


@pytest.mark.parametrize("source", ["/dev/zero", "/dev/urandom"])
async def test_binary_output_is_text_and_small_enough_for_the_history(bench, source):
    result = await bench.sh(f"head -c 300000 {source}; head -c 300000 {source} >&2")
    assert result["stdout_bytes"] == result["stderr_bytes"] == 300_000
    assert len(json.dumps(result, ensure_ascii=False).encode()) < 64 * 1024


async def test_lines_are_told_while_it_runs(bench, tmp_path):
    told = bench.context.told
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sh, f"echo one; while ! [ -e {tmp_path}/go ]; do sleep 0.05; done")
        with trio.fail_after(60):
            while not told:
                await trio.sleep(0.01)
        (tmp_path / "go").touch()
    assert told == [("x-1", "one")]


async def test_a_last_line_without_an_end_is_told(bench):
    await bench.sh("printf 'a\\nb'")
    assert [line for _, line in bench.context.told] == ["a", "b"]


async def test_no_lines_are_told_when_they_are_not_wanted(bench):
    await bench.sh("echo a", live_output=False)
    assert bench.context.told == []


def test_a_line_of_20_megabytes_is_told_as_its_beginning():
    told = []
    lines = Lines(told.append)
    for _ in range(2000):
        lines.feed(b"x" * 10_000)
    lines.feed(b"\nnext\r\n\n")
    assert told == ["x" * 2000, "next"]


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(16, 400))
def test_the_kept_and_the_counted_bytes_are_all_that_came(pieces, limit):
    captured = Captured(limit)
    for piece in pieces:
        captured.feed(piece)
    data = b"".join(pieces)
    assert captured.total == len(data)
    assert captured.whole == (data if len(data) <= limit else None)
    text, left_out = captured.text(limit)
    if left_out == 0:
        assert text == data.decode(errors="replace")
    else:
        assert len(data) > limit
        head, middle, _ = text.partition(f"\n… {left_out} bytes left out …\n")
        assert middle
        assert data.decode(errors="replace").startswith(head[:-1])
        assert len(data) - left_out <= limit


@given(st.text(min_size=200, max_size=400), st.integers(16, 100))
def test_a_cut_splits_no_character(text, limit):
    captured = Captured(limit)
    captured.feed(text.encode())
    kept, left_out = captured.text(limit)
    assert left_out > 0
    assert kept.count("\ufffd") <= text.count("\ufffd")


@given(st.binary(max_size=100_000), st.binary(max_size=100_000))
def test_what_is_kept_fits_the_history(out, err):
    both = Captured(LIMIT), Captured(LIMIT)
    for captured, data in zip(both, (out, err), strict=True):
        captured.feed(data)
    out_text, err_text, left_out = kept_texts(*both, LIMIT)
    assert len(json.dumps([out_text, err_text], ensure_ascii=False).encode()) <= JSON_LIMIT + 100
    assert left_out <= len(out) + len(err)


def test_a_cut_takes_the_word_that_it_falls_into_along():
    out = Captured(1024)
    out.feed(b"a" * 505 + b" hunter22 " + b"b " * 1000 + b"hunter22 " + b"c" * 505)
    text, left_out = out.text(1024)
    assert "hunt" not in text
    assert "r22" not in text
    assert text.startswith("aaa")
    assert text.endswith("ccc")
    assert left_out > 0


async def test_the_last_words_of_a_failure_begin_with_a_whole_word(bench):
    script = "printf '%1000shunter22 %1495s' x y >&2; exit 1"
    with pytest.raises(Retryable) as failure:
        await bench.sh(script)
    assert "ended with exit code 1; stderr: …y" in str(failure.value)
