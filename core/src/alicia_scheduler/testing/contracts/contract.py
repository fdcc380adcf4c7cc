"""What all contracts share: tests that nobody drops in silence, and options that are checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert, convert_all, json_schema
from alicia_scheduler.config.shapes import fields_of, forbids_unknown

__all__ = ["Contract", "OptionsContract"]

OURS = "alicia_scheduler.testing."


class Contract:
    """A set of tests that a plugin's test class inherits."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__module__.startswith(OURS):
            return
        for name, member in vars(cls).items():
            if not name.startswith("test_") or not _is_of_a_contract(cls, name):
                continue
            if not any(mark.name == "xfail" for mark in getattr(member, "pytestmark", ())):
                raise TypeError(
                    f"{cls.__name__}.{name} replaces a test of the contract: give it another name; "
                    "or, if the contract cannot be kept, mark it with "
                    '@pytest.mark.xfail(reason="…"), call the test of the contract in it, '
                    "and say why"
                )

    def missing(self, method: str, what: str) -> NoReturn:
        """Tell the author of a subclass what to write."""
        raise NotImplementedError(f"write {type(self).__name__}.{method}(): {what}")


class OptionsContract(Contract):
    """What every type with a class of options keeps.

    Attributes:
        kind: the type, as its hook yields it.
    """

    kind: Any

    def some_options(self) -> dict[str, Any]:
        """Options that are right."""
        self.missing("some_options", "options of the type that are right")

    def refused(self) -> Iterable[dict[str, Any]]:
        """Options that can never mean anything, each for another reason. None unless written."""
        return ()

    def config(self, options: dict[str, Any]) -> Any:
        """The validated configuration of some options."""
        return convert(options, self.kind.config)

    def test_the_type_says_what_it_is(self) -> None:
        assert self.kind.name, "the type has no name: give it one"
        assert self.kind.summary, (
            f"{self.kind.name} has no summary: write one line that listings show"
        )
        assert "\n" not in self.kind.summary, f"the summary of {self.kind.name} is not one line"

    def test_an_option_that_does_not_exist_is_refused_by_name(self) -> None:
        issues: list[ConfigError] = []
        convert_all({**self.some_options(), "no_such_option": 1}, self.kind.config, issues, path=())
        told = any("no_such_option" in str(issue) for issue in issues)
        assert told and forbids_unknown(self.kind.config), (
            f"an option that {self.kind.name} does not have is taken in silence: "
            "set forbid_unknown_fields=True on its Struct"
        )

    def test_the_options_have_a_json_schema(self) -> None:
        try:
            schema = json_schema(self.kind.config)
        except Exception as error:
            raise AssertionError(
                f"no JSON schema can be made of {self.kind.config.__name__} ({error}): "
                "use types that JSON knows"
            ) from error
        name = schema["$ref"].rpartition("/")[2]
        unknown = set(self.some_options()) - set(schema["$defs"][name]["properties"])
        assert not unknown, f"the schema lacks the options {sorted(unknown)}"

    def test_every_option_has_a_default_or_is_asked_for(self) -> None:
        issues: list[ConfigError] = []
        convert_all({}, self.kind.config, issues, path=())
        said = " ".join(str(issue) for issue in issues)
        required = [field.key for field in fields_of(self.kind.config) if field.required]
        assert not required or any(key in said for key in required), (
            f"nothing says that {required} must be given: let the class of options require it"
        )


def _is_of_a_contract(cls: type, name: str) -> bool:
    return any(name in vars(base) for base in cls.__mro__[1:] if base.__module__.startswith(OURS))
