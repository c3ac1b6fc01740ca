"""What README.md, CONTRIBUTING.md and docs/ show exists and works: links, commands, targets, files, examples."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.core.config import validate
from lmkd_py.daemon import inherited
from lmkd_py.daemon.commands import USAGE
from lmkd_py.daemon.selftest.__main__ import USAGE as SELFTEST_USAGE
from lmkd_py.wire.config import decode_config
from tests.support import REPO_ROOT
from tools.bench.figures import ARM_MARKS, MARKS, OUTCOME_MARKS
from tools.gen_docs import PAGE, CommentError, entries, page

LMKCTL = [sys.executable, "-c", "import sys; sys.argv[0] = 'lmkctl'; from lmkd_py.cli import main; main()"]
PROGRAMS = {"lmkd-py": [sys.executable, "-m", "lmkd_py.daemon"], "lmkctl": LMKCTL}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "device/module/README.md",
    *sorted(str(path.relative_to(REPO_ROOT)) for path in (REPO_ROOT / "docs").glob("*.md")),
]
README_LINES = 180
WIDTH = 124  # of prose: 120 and a little, as it is wrapped by hand; tables, code and the bench may be wider


def text_of(document: str) -> str:
    return (REPO_ROOT / document).read_text()


def anchors_of(document: Path) -> set[str]:
    """The #anchors of a page, as GitHub makes them of its headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def prose_of(document: str) -> list[tuple[int, str]]:
    """(line number, line) of everything but code blocks, tables and the bench's parts."""
    lines, inside = [], False
    for number, line in enumerate(text_of(document).splitlines(), 1):
        if line.startswith("```") or line in (*MARKS, *ARM_MARKS, *OUTCOME_MARKS):
            inside = line in (MARKS[0], ARM_MARKS[0], OUTCOME_MARKS[0]) or (line.startswith("```") and not inside)
        elif not inside and not line.startswith("|"):
            lines.append((number, line))
    return lines


def help_of(program: str, *verb: str) -> str:
    command = [*PROGRAMS[program], *verb, "--help"]
    done = subprocess.run(command, cwd=REPO_ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{program} {' '.join(verb)}: {done.stderr}"
    return done.stdout


def test_the_readme_is_short() -> None:
    assert text_of("README.md").count("\n") <= README_LINES


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_line_of_prose_is_too_wide(document: str) -> None:
    assert [number for number, line in prose_of(document) if len(line) > WIDTH] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (REPO_ROOT / document).parent / path if path else REPO_ROOT / document
        assert found.exists(), f"{document} links to {target}"
        if anchor:
            assert anchor in anchors_of(found), f"{document} links to {target}"


def test_every_page_is_reached_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", text_of("README.md")))
    assert linked == {name for name in DOCUMENTS if name.startswith("docs/")}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_names_only_targets_and_files_that_exist(document: str) -> None:
    text = text_of(document)
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    for name in re.findall(r"(?:`|^|\bsudo |&& )make ([a-z][a-z-]*)", text, re.MULTILINE):
        assert name in targets, f"{document} names make {name}"
    for name in re.findall(r"`((?:lmkd_py|tools|tests|proto|device|docs|\.ci)/[\w./-]*)`", text):
        assert (REPO_ROOT / name).exists(), f"{document} names {name}"


def commands_named() -> set[tuple[str, ...]]:
    """(program, verb) or (program, verb, verb below it) wherever a document shows a command line."""
    found: set[tuple[str, ...]] = set()
    options = r"(?: (?:-s|--targets|--label|-j) \S+| --all| --json)*"
    shown = re.compile(rf"\b(lmkctl|lmkd-py){options} ([a-z]+)(?: ([a-z]+))?")
    for document in DOCUMENTS:
        code = re.findall(r"```\w*\n(.*?)```|`([^`\n]+)`", text_of(document), re.DOTALL)
        for line in "\n".join(block or word for block, word in code).splitlines():
            for program, verb, below in shown.findall(line.partition("#")[0]):
                found.add((program, verb, below) if verb in ("board", "config") and below else (program, verb))
    return found


def test_every_command_that_a_document_names_exists() -> None:
    named = commands_named()
    assert {("lmkd-py", "check"), ("lmkctl", "explain"), ("lmkctl", "config", "push")} <= named
    words = {program: set(re.findall(r"[a-z]+", help_of(program))) for program in PROGRAMS}
    below = {verb: set(re.findall(r"[a-z]+", help_of("lmkctl", verb))) for verb in ("board", "config")}
    for program, verb, *rest in named:
        assert verb in words[program], f"{program} {verb}"
        assert not rest or rest[0] in below[verb], f"{program} {verb} {rest[0]}"


def test_every_verb_of_lmkctl_is_in_the_table_of_commands() -> None:
    table = text_of("docs/commands.md")
    verbs = re.findall(r"^  ([a-z]+)  ", help_of("lmkctl").partition("\nTry it:")[2], re.MULTILINE)
    assert len(verbs) > 10
    for verb in verbs:
        assert re.search(rf"`(?:lmkctl )?{verb}\b", table), f"docs/commands.md does not have {verb}"


def test_every_option_of_the_selftest_is_in_the_table() -> None:
    (row,) = re.findall(r"^\| `lmkctl selftest.*", text_of("docs/commands.md"), re.MULTILINE)
    assert set(re.findall(r"--[a-z-]+", row)) >= set(re.findall(r"--[a-z-]+", SELFTEST_USAGE)) >= {"--seconds"}


def test_every_exit_code_is_told_in_the_docs_and_in_the_usage() -> None:
    codes = {str(value) for name, value in vars(inherited).items() if name.startswith("EXIT_")}
    commands = text_of("docs/commands.md")
    for text in (commands[commands.index("\nExit codes of `lmkd-py`") :], USAGE[USAGE.index("\nexit codes:") :]):
        sentence = " ".join(text.strip().partition("\n\n")[0].split())
        assert set(re.findall(r"[:,] (\d) ", sentence)) == codes


def test_the_configuration_example_makes_a_config_the_daemon_takes(tmp_path: Path) -> None:
    text = text_of("docs/configuration.md")
    (example,) = re.findall(r"```\n(policy .*?)```", text, re.DOTALL)
    (tmp_path / "settings.txt").write_text(example)
    (command,) = re.findall(r"`lmkctl (config encode .*?)`", text)
    subprocess.run([*LMKCTL, *command.split()], cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True)
    config = validate(decode_config((tmp_path / "config.bin").read_bytes()))
    assert config.policy.lowmem_min_adj == 801


def test_the_configuration_reference_is_what_the_schema_says_today() -> None:
    assert PAGE.read_text() == page(), "docs/configuration.md is old: run make docs (python -m tools.gen_docs)"


def test_a_setting_without_advice_stops_the_reference() -> None:
    proto = "message PolicyConfig {\n  // Milliseconds. Default 3.\n  optional int64 gap_ms = 1;\n}\n"
    with pytest.raises(CommentError, match="gap_ms"):
        entries(proto, "PolicyConfig", {})
    (entry,) = entries(proto.replace("Default 3.", "Default 3.\n  // Raise it when X. [gap]"), "PolicyConfig", {})
    assert (entry.default, entry.advice, entry.aosp, entry.unit) == ("3", "Raise it when X.", "ro.lmk.gap", "ms")


def test_the_bench_finds_its_marks_in_the_measurements() -> None:
    text = text_of("docs/measurements.md")
    for begin, end in (MARKS, ARM_MARKS):
        assert 0 < text.index(begin) < text.index(end)
