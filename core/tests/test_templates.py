"""One template: what it may say, what it makes, and that it ends."""

import subprocess
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_scheduler.api import ConfigError
from alicia_scheduler.host.templates import words
from alicia_scheduler.host.templates.meter import OUTPUT_LIMIT, Meter
from alicia_scheduler.host.templates.template import TemplateFault, compiled, is_template

BERLIN = ZoneInfo("Europe/Berlin")
SLOT = datetime(2026, 6, 1, 4, 30, tzinfo=UTC).astimezone(BERLIN)


def values(**more):
    def now():
        return SLOT

    now.is_template_function = True
    given_names = {
        "event": {"id": "lamp", "name": "Lamp", "tags": ["kitchen", "night"]},
        "execution": {"id": "e1", "attempt": 2, "trigger": "schedule"},
        "slot": SLOT,
        "window": {"start": SLOT, "end": SLOT},
        "attempt": 2,
        "last_result": {"value": 21.5, "items": [3, 1, 2], "text": "x" * 60_000},
        "parent": None,
        "now": now,
    }
    return given_names | more


def render(source, **more):
    return compiled(source).render(values(**more), Meter())


def refusal(source):
    with pytest.raises(ConfigError) as caught:
        compiled(source)
    return str(caught.value)


def fault(source, **more):
    with pytest.raises(TemplateFault) as caught:
        render(source, **more)
    return str(caught.value)


# -- what it makes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("home/{{ event.id }}/set", "home/lamp/set"),
        ("{{ event.id }} {{ attempt }}", "lamp 2"),
        ("{{ event.name | upper ~ '!' }} ", "LAMP! "),
        ("at {{ slot }}", "at 2026-06-01T06:30:00+02:00"),
        ("{{ slot.strftime('%H:%M') }}", "06:30"),
        ("{{ slot.hour }}:{{ '%02d' | format(slot.minute) }}", "6:30"),
        ("{{ (slot + timedelta(hours=1)).isoformat() }}", "2026-06-01T07:30:00+02:00"),
        ("{% if attempt > 1 %}again{% else %}first{% endif %}", "again"),
        (("{% for n in last_result['items'] | sort %}{{ n }}{{ ',' if not loop.last }}"
         "{% endfor %}"), "1,2,3"),
        ("{{ last_result.value > 20 }}, {{ 1.5 }}", "true, 1.5"),
        ("{{ event.tags | tojson }} ", '["kitchen","night"] '),
        (("{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}"
         "{% endfor %}{{ ns.n }}"), "6"),
        ("{# nothing #}said", "said"),
        ("{% raw %}{{ for others }}{% endraw %}", "{{ for others }}"),
        ("two\nlines {{ attempt }}\n", "two\nlines 2\n"),
    ],
)  # fmt: skip
def test_a_template_makes_text(source, made):
    assert render(source) == made


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("{{ attempt }}", 2),
        ("{{ last_result.value + 1 }}", 22.5),
        ("{{ attempt > 1 }}", True),
        ("{{ last_result.nothing | default(none) }}", None),
        ("{{ {'state': 'ON', 'level': attempt} }}", {"state": "ON", "level": 2}),
        ("{{ event.tags + ['x'] }}", ["kitchen", "night", "x"]),
        ("{{ slot }}", "2026-06-01T06:30:00+02:00"),
        ("{{ '007' }}", "007"),
        ("{{ '[1]' }}", "[1]"),
        ("{{ last_result.items }}", [3, 1, 2]),
    ],
)
def test_a_text_that_is_one_expression_makes_its_value_and_guesses_no_type(source, made):
    result = render(source)
    assert result == made
    assert type(result) is type(made)


def test_what_a_template_makes_is_not_rendered_again():
    assert render("got {{ last_result }}", last_result="{{ event.id }}") == "got {{ event.id }}"


@pytest.mark.parametrize(
    ("text", "one"),
    [("a {{ b", True), ("{% if", True), ("{# c", True), ("{ a }", False), ("100 %}", False)],
)
def test_only_an_opening_mark_makes_a_text_a_template(text, one):
    assert is_template(text) is one


def test_the_same_text_is_compiled_once():
    assert compiled("{{ event.id }}-once") is compiled("{{ event.id }}-once")


# -- what is refused when the event is written -----------------------------------------------


@pytest.mark.parametrize(
    ("source", "words_of_it"),
    [
        ("{{ evnt.id }}", "no name 'evnt', in '{{ evnt.id }}' (did you mean 'event'?)"),
        ("{{ event.nmae }}", "no name 'event.nmae', in '{{ event.nmae }}' (did you mean 'name'?)"),
        ("{{ slot.hours }}", "(did you mean 'hour'?)"),
        ("a\nb\n{{ evnt }}", "in line 3: '{{ evnt }}'"),
        ("{{ 1 | flot }}", "no filter 'flot', in '{{ 1 | flot }}' (did you mean 'float'?)"),
        ("{{ 1 is evn }}", "no test 'evn'"),
        ("{{ event.tags | map('uper') | list }}", "no filter 'uper'"),
        ("{{ event.tags | select('evn') | list }}", "no test 'evn'"),
        ("{{ [event] | rejectattr('id', 'evn') | list }}", "no test 'evn'"),
        ("{{ loop.index }}", "no name 'loop'"),
        ("{{ event.id", "unexpected end of template"),
        ("{% if attempt %}", "unexpected end of template"),
        ("{{ 1 + }}", "is no template"),
        ("{% frob %}", "unknown tag 'frob'"),
        ("{% macro f() %}{% endmacro %}", "templates have no macros"),
        ("{% include 'x' %}", "templates have no other templates"),
        ("{% set x %}y{% endset %}", "templates have no set blocks"),
        ("{% for a in [] recursive %}{% endfor %}", "templates have no recursive loops"),
        ("{{ range(*[9]) }}", "templates have no calls with * or **"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nested too deeply"),
        ("{{ " + "1 + " * 5000 + "1 }}", "at most 16 Ki characters"),
    ],
)
def test_a_mistake_is_refused_with_its_place(source, words_of_it):
    assert words_of_it in refusal(source)


@pytest.mark.parametrize(
    "name", ["self", "config", "environ", "env", "os", "dict", "cycler", "lipsum", "secret"]
)
def test_nothing_of_the_machine_has_a_name(name):
    assert f"no name '{name}'" in refusal(f"{{{{ {name} }}}}")


@pytest.mark.parametrize("name", ["attr", "safe", "xmlattr", "center", "indent", "random", "e"])
def test_filters_that_reach_out_or_grow_are_not_there(name):
    assert f"no filter '{name}'" in refusal(f"{{{{ 'a' | {name} }}}}")


# -- what fails while it is rendered ---------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ last_result.nothing }}", "a table has no 'nothing'"),
        ("{{ parent.result }}", "null has no 'result'"),
        ("x {{ last_result }}", "a table in the middle of text; write | tojson"),
        ("x {{ parent }}", "null has no text; write | default"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("first\n{{ attempt }}\n{{ 1 / 0 }}", "line 3: division by zero"),
        ("{{ 'a' + 1 }}", "str"),
        ("{{ range }}", "has no text"),
        ("{{ 2 ** 64 }}", "a whole number of more than 64 bits"),
        (r"{{ '\ud800' }}", "a lone surrogate"),
        (r"x{{ '\ud800' }}", "a lone surrogate"),
        (r"{{ [{'a': '\ud800'}] }}", "a lone surrogate"),
        ("{{ event.id.__class__ }}", "a text has no '__class__'"),
        ("{{ ''['__class__'] }}", "a text has no '__class__'"),
        ("{{ 'x'.format(1) }}", "a text has no 'format'"),
        ("{{ event.tags.append(1) }}", "a list has no 'append'"),
        ("{{ last_result.update({}) }}", "a table has no 'update'"),
        ("{{ now.__globals__ }}", "has no '__globals__'"),
        ("{{ [event] | map(attribute='id.__class__') | list }}", "has no '__class__'"),
    ],
)
def test_a_fault_says_why_and_in_which_line(source, why):
    assert why in fault(source)


# -- that it ends ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "{{ 9 ** 9 ** 9 ** 9 }}",
        "{{ 'a' * 10 ** 9 }}",
        "{{ [0] * 10 ** 9 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%*d' % (999999999, 1) }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ range(10 ** 9) }}",
        "{{ last_result.text | replace('x', last_result.text) }}",
        "{{ range(1000) | join(last_result.text) }}",
        "{{ 1.5 | round(10 ** 9, 'ceil') }}",
        (
            "{% set n = namespace(t='x') %}{% for i in range(99) %}{% set n.t = n.t ~ n.t %}"
            "{% endfor %}"
        ),
        (
            "{% set n = namespace(t=[1]) %}{% for i in range(99) %}{% set n.t = [n.t, n.t] %}"
            "{% endfor %}"
        ),
        "{% set n = namespace(t=3) %}{% for i in range(99) %}{% set n.t = n.t * n.t %}{% endfor %}",
        (
            "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}"
            "{% endfor %}{% endfor %}{% endfor %}"
        ),
        f"{{% for a in '{'a' * 1000}' %}}" * 9 + "{% endfor %}" * 9,
        "{% for a in range(1000) %}{{ last_result.text }}{% endfor %}",
        "{% for a in range(1000) %}{{ last_result.text | title | length }}{% endfor %}",
        "{% for a in range(1000) %}{% if 'xxy' in last_result.text %}{% endif %}{% endfor %}",
        "{% for a in range(1000) %}{{ last_result.text.split('x') | length }}{% endfor %}",
        "{{ range(1000) | map('string') | map('replace', '', last_result.text) | list }}",
        "{{ last_result.text ~ last_result.text }}",
    ],
)
def test_what_would_take_for_ever_or_fill_the_memory_is_stopped(source):
    said = fault(source)
    assert any(
        reason in said for reason in ("takes more than", "makes", "asks for", "pads", "round")
    ), said


def test_output_is_bounded_in_bytes_over_all_templates_of_an_action():
    meter = Meter()
    half = compiled("{{ last_result.text[:40000] }}.")
    assert len(half.render(values(), meter)) == 40_001
    with pytest.raises(TemplateFault, match="64 KiB"):
        half.render(values(), meter)
    assert OUTPUT_LIMIT == 65_536


def test_steps_are_counted_alike_on_every_machine():
    source = "{% for n in range(600) %}{{ n }}{% endfor %}"
    meter = Meter(steps=2000)
    compiled(source).render(values(), meter)
    with pytest.raises(TemplateFault, match="steps"):
        compiled(source).render(values(), meter)


PARTS = st.sampled_from(
    [
        "{{", "}}", "{%", "%}", "{#", "#}", " ", "event", "slot", "last_result", "now()", ".id",
        ".text", "['items']", "|", "replace", "join", "map", "list", "sort", "tojson", "format",
        "(", ")", ",", "'x'", "9", "**", "*", "~", "+", "%", "for i in", "range(999)", "endfor",
        "if", "endif", "set x =", "x", "i", "namespace(a=1)", "is", "defined", "not", "in", "[",
        "]", ":", "{", "}", "a", "\n", "-", "'%9999d'", ".__class__", "loop.index", "_", "self",
    ]
)  # fmt: skip


@given(st.lists(PARTS, max_size=14).map("".join))
@settings(deadline=None)
def test_whatever_is_written_is_refused_or_rendered_or_fails_and_ends(source):
    try:
        made = compiled("{{ " + source).render(values(), Meter(steps=500))
    except (ConfigError, TemplateFault):
        return
    assert made is None or isinstance(made, (str, int, float, list, dict))


EXPRESSIONS = st.recursive(
    st.sampled_from(
        ["1", "'x'", "9", "event", "event.id", "last_result", "last_result.text", "range(99)",
         "[1, 2]", "{'a': 1}", "slot", "none", "now()"]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "**", "%", "~", "//", "==", "in", "<"]),
                  inner).map(lambda parts: "({} {} {})".format(*parts)),
        st.tuples(inner, st.sampled_from(sorted(words.FILTERS))).map("({0[0]} | {0[1]})".format),
        st.tuples(inner, st.sampled_from(["replace", "join", "map", "select", "format", "round"]),
                  inner).map("({0[0]} | {0[1]}({0[2]}))".format),
        st.tuples(inner, inner).map("[{0[0]}, {0[1]}]".format),
        st.tuples(inner, inner).map("{0[0]}[{0[1]}]".format),
    ),
    max_leaves=12,
)  # fmt: skip


@given(EXPRESSIONS)
@settings(deadline=None)
def test_every_expression_ends_within_its_bounds(expression):
    try:
        made = compiled("{{ " + expression + " }}").render(values(), Meter())
    except (ConfigError, TemplateFault):
        return
    assert len(str(made)) < 20 * OUTPUT_LIMIT


# -- what it costs who does not use it -------------------------------------------------------


def test_a_configuration_without_templates_does_not_import_jinja(tmp_path):
    tmp_path.joinpath("home.toml").write_text(
        '[services.mqtt]\n[sinks.log]\n[events.a]\nschedule_type = "cron"\n'
        'schedule_config = { expression = "0 0 * * *" }\n'
        'action = { topic = "a", message = { text = "{ braces } are text" } }\n'
    )
    program = (
        "import sys\n"
        "from alicia_scheduler.cli.configured import load_checked\n"
        "import alicia_scheduler.cli.run, alicia_scheduler.control.doors\n"
        "import alicia_scheduler.host.trial\n"
        f"_, registry, checked = load_checked({str(tmp_path / 'home.toml')!r})\n"
        "from alicia_scheduler.host.resolver import Resolver\n"
        "from alicia_scheduler.config.settings import Settings\n"
        "event = checked.events[0]\n"
        "Resolver(registry, Settings(), {}).prepare(event, event.created_at)\n"
        "sys.exit('jinja2' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_jinja_a_template_is_refused_with_what_to_install():
    program = (
        "import sys\n"
        "sys.modules['jinja2'] = None\n"
        "from alicia_scheduler.api import ConfigError\n"
        "from alicia_scheduler.host.templates.template import compiled\n"
        "try:\n    compiled('{{ slot }}')\n"
        "except ConfigError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert "pip install 'alicia-scheduler[templates]'" in done.stdout
