"""Debian packages without installing them: fetched from the machine's own mirror and unpacked under the user's cache.

A bench that installed earlyoom would leave a second killer running on the machine, and a test of another suite's
Python must not touch the system's. So apt works here with lists, status and archives of its own; the system's
sources are only asked for the mirror, and its signing keys and proxy settings stay in force. Needs no root.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg")
DONE = ".unpacked"
Say = Callable[[str], None]  # gets a line of progress, or a warning
_GET = re.compile(r"Get:\d+ \S+ \S+ \S+ (\S+) \S+ (?:(\S+) )?(\[.*\])")  # apt-get about a package it fetches


class PackageError(RuntimeError):
    """A package that could not be had: what was tried, what was said, what to do."""


def to_stderr(line: str) -> None:
    """Where progress and warnings go unless somebody shows them in a better way."""
    print(f"board: {line}", file=sys.stderr, flush=True)


def cache_dir() -> Path:
    """Where unpacked packages are kept between runs: lmkd_py in $XDG_CACHE_HOME, else in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "lmkd_py"


def own_suite() -> str:
    """Codename of the Debian this machine runs, from os-release. Raises PackageError elsewhere."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        facts = dict(line.split("=", 1) for line in lines if "=" in line)
        if facts.get("ID", "").strip('"') == "debian" and "VERSION_CODENAME" in facts:
            return facts["VERSION_CODENAME"].strip('"')
    raise PackageError("this machine does not run Debian (os-release): its mirror cannot be derived")


def mirror() -> str:
    """URI of the Debian archive in the machine's own apt sources. Raises PackageError if there is none."""
    suite = own_suite()
    listing = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    for line in listing.splitlines():
        uri, release, component = line.rsplit(" ", 2)
        # Third parties also have a component main; none of them calls its release by Debian's bare codename
        # and its path by Debian's name.
        if release in (suite, "stable") and component == "main" and uri.rstrip("/").endswith("debian"):
            return uri
    raise PackageError(f"apt's sources name no Debian mirror with {suite} main")


def unpack(
    name: str,
    packages: Sequence[str],
    suite: str,
    with_dependencies: bool = False,
    architecture: str = "",
    say: Say = to_stderr,
) -> Path:
    """Root directory with `packages` of `suite` unpacked, `name` in the cache; fetched only if it is not there yet.

    Downloads the suite's package list (about 10 MB) and the packages; with_dependencies adds all they depend on,
    down to libc. `architecture` is Debian's name of another than this machine's. A package `meta:NAME` stands for the
    linux-image that NAME depends on now. The newest version of the suite is taken; one that the mirror lists but has
    no more is replaced by an older one, with a line to `say`. Raises PackageError.
    """
    root = cache_dir() / f"{name}-{suite}"
    wanted = " ".join(packages)
    if (root / DONE).is_file() and (root / DONE).read_text().splitlines()[:1] == [wanted]:
        return root
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=cache_dir()) as scratch:
        say(f"fetching Debian's package list of {suite}")
        fetch(Path(scratch), packages, suite, with_dependencies, architecture, say)
        say(f"unpacking {name}")
        fresh = Path(scratch) / "root"
        lines = [wanted]
        for deb in sorted(Path(scratch).rglob("*.deb")):
            run("dpkg-deb", "-x", str(deb), str(fresh))
            lines.append(run("dpkg-deb", "-W", "--showformat=${Package} ${Version}", str(deb)))
            lines[-1] += " " + hashlib.sha256(deb.read_bytes()).hexdigest()
        (fresh / DONE).write_text("\n".join(lines))
        shutil.rmtree(root, ignore_errors=True)
        fresh.rename(root)
    return root


def versions(root: Path) -> dict[str, str]:
    """Version of every package that unpack() put into `root`, by name."""
    return {line.split()[0]: line.split()[1] for line in (root / DONE).read_text().splitlines()[1:]}


def fetch(
    scratch: Path,
    packages: Sequence[str],
    suite: str,
    with_dependencies: bool,
    architecture: str = "",
    say: Say = to_stderr,
) -> None:
    """Download the .debs somewhere below `scratch` with a private apt tree. Raises PackageError."""
    for part in ("etc", "state/lists/partial", "cache/archives/partial", "root"):
        (scratch / part).mkdir(parents=True)
    (scratch / "state/status").touch()
    (scratch / "etc/debian.sources").write_text(sources(suite))
    # -c is read after the system's files, so that #clear can take the system's hooks away: they belong to its
    # own state, not to ours. One architecture: others would only cost downloads.
    architecture = architecture or run("dpkg", "--print-architecture").strip()
    (scratch / "apt.conf").write_text(
        "#clear APT::Update; #clear DPkg; #clear APT::Architectures; #clear Acquire::IndexTargets::deb::DEP-11;\n"
        f'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "{scratch}/etc";\n'
        'Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";\n'
        f'Dir::State "{scratch}/state"; Dir::State::status "{scratch}/state/status"; Dir::Cache "{scratch}/cache";\n'
        f'APT::Architecture "{architecture}"; APT::Architectures {{ "{architecture}"; }};\n'
        'Acquire::Languages "none"; Acquire::Retries "3"; APT::Sandbox::User "";\n'
    )
    apt = ("apt-get", "-q", "-y", "-c", str(scratch / "apt.conf"))
    run(*apt, "--error-on=any", "update")
    if with_dependencies:
        run(*apt, "--no-install-recommends", "--download-only", "install", *packages, told=_told(say))
        return
    for name in packages:
        _download(apt, name, scratch, say)


def sources(suite: str) -> str:
    """What apt is told about where packages come from, in its deb822 form. Raises PackageError."""
    keyring = next((path for path in KEYRINGS if os.path.exists(path)), None)
    if keyring is None:
        raise PackageError("no Debian signing keys here: apt-get install debian-archive-keyring")
    return f"Types: deb\nURIs: {mirror()}\nSuites: {suite}\nComponents: main\nSigned-By: {keyring}\n"


def _download(apt: Sequence[str], name: str, scratch: Path, say: Say) -> None:
    # The newest there is; the list of a mirror may name files that it has no more.
    gone: list[str] = []
    failed = PackageError(f"{name}: no such package on {mirror_of(scratch)}")
    for words in _offered(name, scratch):
        try:
            run(*apt, "download", words, cwd=scratch, told=_told(say))
        except PackageError as error:
            gone.append(words)
            failed = error
            continue
        if gone:
            say(f"warning: {gone[0]} has vanished from the mirror; {words} is taken in its place")
        return
    raise failed


def mirror_of(scratch: Path) -> str:
    """The mirror that this apt tree fetches from."""
    lines = (scratch / "etc/debian.sources").read_text().splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith("URIs:"))


def _offered(name: str, scratch: Path) -> list[str]:
    """What to ask apt-get for, the newest first: NAME=VERSION."""
    cache = ("apt-cache", "-c", str(scratch / "apt.conf"))
    names = [name]
    if name.startswith("meta:"):
        image = _image_of(name[5:], scratch)
        # Debian keeps each version of a kernel as a package of its own: linux-image-6.1.0-50-cloud-arm64.
        series = re.sub(r"(?<=-)\d+(?=-)", "[0-9]+", image, count=1)
        others = [line.split()[0] for line in run(*cache, "search", "--names-only", f"^{series}$").splitlines()]
        older = sorted((other for other in others if _numbers(other) < _numbers(image)), key=_numbers, reverse=True)
        names = [image, *older]
    found = []
    for one in names:
        lines = [line.split("|") for line in run(*cache, "madison", one).splitlines()]
        found += [f"{one}={fields[1].strip()}" for fields in lines if len(fields) > 1]
    return list(dict.fromkeys(found))


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _told(say: Say) -> Say:
    def told(line: str) -> None:
        if match := _GET.match(line):
            say(f"fetching {match[1]} {match[3]}")

    return told


def _image_of(name: str, scratch: Path) -> str:
    said = run("apt-cache", "-c", str(scratch / "apt.conf"), "depends", "--important", name)
    for line in said.splitlines():
        kind, _, what = line.strip().partition(": ")
        if kind == "Depends" and what.startswith("linux-image-"):
            return what
    raise PackageError(f"{name}: found no linux-image among what it depends on")


def run(*command: str, cwd: Path | None = None, told: Say | None = None) -> str:
    """Standard output of a command; `told` gets its lines while it runs. Raises PackageError with the command and the
    end of what it said."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    said: list[str] = []
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        try:
            process = subprocess.Popen(
                command, cwd=cwd, env=environment, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints,
            )  # fmt: skip
        except OSError as error:
            raise PackageError(f"{command[0]}: {error.strerror} (Debian's packages are needed here)") from error
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if told is not None:
                    told(line.rstrip())
        complaints.seek(0)
        if process.returncode:
            last = "".join([*said, complaints.read()]).strip().splitlines()[-5:]
            raise PackageError("\n".join((f"{' '.join(command)}: exit {process.returncode}", *last)))
    return "".join(said)
