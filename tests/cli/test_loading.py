"""What lmkctl loads: the help of a verb costs that verb's module, and the table of verbs tells the truth."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command

from lmkd_py.cli.app import app
from lmkd_py.cli.loading import ended_by_ctrl_c
from lmkd_py.cli.verbs import VERBS, Verb
from lmkd_py.host.fleet import JOBS
from tests.support import REPO_ROOT

# The dear ones of the host packages, and what our own rooms load for work on devices, boards and traces.
DEAR = {
    *("pydantic", "rich", "google.protobuf", "adb_shell", "cryptography", "numpy", "asyncio"),
    *("lmkd_py.pb", "lmkd_py.analysis", "lmkd_py.kernel", "lmkd_py.host.connect", "lmkd_py.board.boards"),
}
# Of them those that no help needs. Some verbs name what their rooms know (profiles of boards, seconds of a push).
NEVER = {*("pydantic", "rich", "google.protobuf", "adb_shell", "cryptography", "numpy", "asyncio", "lmkd_py.pb")}
MOST_MODULES = 300  # at 0.5 ms each a help is there in 0.15 s
MODULES = {verb.module for verb in VERBS.values()}


def loaded_by(*words: str) -> set[str]:
    """Names of all modules that a command line has loaded when lmkctl is done with it."""
    code = (
        "import sys\nfrom lmkd_py.cli import main\n"
        "try:\n    main()\nexcept SystemExit as leave:\n    print('\\n', *sys.modules)\n    raise"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=REPO_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("words", "modules"),
    [
        (["--help"], set()),
        (["status", "--help"], {"lmkd_py.cli.service"}),
        (["start", "--help"], {"lmkd_py.cli.service"}),
    ],
)
def test_a_help_loads_no_other_verb_and_nothing_dear(words: list[str], modules: set[str]) -> None:
    loaded = loaded_by(*words)
    assert loaded & MODULES == modules
    assert not loaded & DEAR


def test_the_help_of_a_group_and_of_a_trace_verb_load_no_other_verb() -> None:
    assert loaded_by("board", "--help") & MODULES == {"lmkd_py.cli.board"}
    assert loaded_by("explain", "--help") & MODULES == {"lmkd_py.cli.explain", "lmkd_py.cli.replay"}  # reads as replay


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_the_table_has_each_verb_and_the_first_line_of_its_help(verb: Verb) -> None:
    found = verb.load()
    text = found.info.help if isinstance(found, typer.Typer) else found.__doc__
    assert " ".join(inspect.cleandoc(str(text)).partition("\n\n")[0].split()) == verb.help


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("width", [20, 60, 200])
def test_a_verb_is_listed_as_it_would_list_itself(verb: str, width: int) -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    line, itself = group.commands[verb], group.get_command(typer.Context(group), verb)
    assert itself is not None
    assert itself.name == line.name == verb
    assert itself.get_short_help_str(width) == line.get_short_help_str(width)
    assert vars(itself)["rich_help_panel"] == vars(line)["rich_help_panel"]


def test_options_that_are_not_given_are_as_those_that_are_given_as_the_default() -> None:
    bare, given = (
        get_command(app).make_context("lmkctl", words).params for words in (["status"], ["-j", str(JOBS), "status"])
    )
    assert bare == given
    assert {name: type(value) for name, value in bare.items()} == {name: type(value) for name, value in given.items()}
    assert bare["jobs"] == JOBS


def test_ctrl_c_is_as_before_once_a_module_is_loaded() -> None:
    former = signal.getsignal(signal.SIGINT)
    try:
        for handler in (signal.default_int_handler, signal.SIG_IGN, lambda *_: None):
            signal.signal(signal.SIGINT, handler)
            with ended_by_ctrl_c():
                inside = signal.getsignal(signal.SIGINT)
            assert inside == (signal.SIG_DFL if handler is signal.default_int_handler else handler)
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, former)


def all_verbs() -> list[str]:
    """`status`, `board up`, ...: what a help can be asked of."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    context = typer.Context(group)
    found = {name: group.get_command(context, name) for name in VERBS}
    below = [f"{name} {each}" for name, verb in found.items() for each in getattr(verb, "commands", ())]
    return [*VERBS, *below]


@pytest.mark.parametrize("words", all_verbs())
def test_no_help_loads_what_only_the_work_itself_needs(words: str) -> None:
    loaded = loaded_by(*words.split(), "--help")
    assert not loaded & NEVER
    assert len(loaded) < MOST_MODULES
