#!/usr/bin/env python3
"""Set the study up in .venv and run something in it; needs Python 3.11 to 3.14, nothing else.

    python3 bootstrap.py run scenarios/article.yaml   run a study (any `study` command goes here)
    python3 bootstrap.py test [PYTEST ARGUMENT ...]   linters, type checker, tests
    python3 bootstrap.py setup [run | dev | cluster]  only set up, from requirements/<that>.lock
    python3 bootstrap.py lock [--upgrade]             write requirements/*.lock from pyproject.toml

The first time it downloads and installs; later it sees that nothing has changed and starts at
once. pip's own settings (index, certificates, proxy) hold. Delete .venv to start afresh.
"""

import hashlib
import json
import os
import platform
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

# The whole file has a syntax, and these lines run, that Pythons from 3.6 on understand.
OLDEST, NEWEST = (3, 11), (3, 14)
if not OLDEST <= sys.version_info[:2] <= NEWEST:
    fitting = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    here = [name for name in fitting if shutil.which(name)]
    hint = f"; this machine has {here[0]}: start with that" if here else ""
    sys.exit(
        f"bootstrap.py: this is Python {platform.python_version()}, but the study needs "
        f"3.{OLDEST[1]} to 3.{NEWEST[1]}{hint}"
    )

if os.name != "posix":
    sys.exit("bootstrap.py: the study needs Linux; on Windows use WSL")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "bootstrap.json"
LOG = VENV / "bootstrap.log"
LOCKS = ("run", "dev", "cluster")
LOCK_GROUPS = {
    "run": ["--group", "build"],
    "dev": ["--group", "build", "--group", "test", "--group", "lint"],
    "cluster": ["--group", "build", "--extra", "cluster"],
}
# Many Linux systems ship Python without pip and ensurepip, so this copy comes with the study.
PIP = ROOT / "requirements" / "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
ROOM_BYTES = 2_000_000_000
CHECKS = (
    ("ruff check", ["-m", "ruff", "check", "."]),
    ("ruff format", ["-m", "ruff", "format", "--check", "."]),
    ("mypy", ["-m", "mypy"]),
    ("pytest", ["-m", "pytest"]),
)
# Tests that start Ray mostly wait; the others run beside them (tests/conftest.py).
TWO_AT_A_TIME = ["-n", "2", "--dist", "loadgroup"]
# What pip says when it fails, and what to do about it, most telling first.
UNREACHABLE = re.compile(
    "NameResolution|ConnectionError|NewConnection|ConnectTimeout|ReadTimeout|Max retries"
    "|ProxyError|SSLError|CERTIFICATE|name resolution|timed out|IncompleteRead"
)
REASONS = {
    re.compile("No space left|Errno 28"): f"the disk is full; {ROOM_BYTES / 1e9:.0f} GB are needed",
    re.compile("Read-only file system|Permission denied"): "a folder cannot be written",
    re.compile("DO NOT MATCH THE HASHES"): "a file differs from the locked one; who altered it?",
    UNREACHABLE: "no answer from the package index; look at the network and at pip's settings",
    re.compile("No matching distribution"): "the index has no build for this machine, "
    f"{platform.platform()}; Ray needs Linux with glibc on x86-64 or arm64, or macOS",
}


def say(line: str) -> None:
    """Print one line for the person, on stderr: stdout belongs to the study."""
    print(line, file=sys.stderr, flush=True)


def fail(line: str) -> "NoReturn":
    """End with one clear line."""
    sys.exit(f"bootstrap.py: {line}")


def digest(path: Path) -> str:
    """Hex SHA-256 of a file of the study; ends the program when it is missing."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        fail(f"{path}: {error.strerror}; is the checkout complete?")


@contextmanager
def only_one() -> "Iterator[None]":
    """Hold the checkout: a second set-up at the same time waits for the first."""
    import fcntl  # not on Windows, whose Pythons should read this far

    handle = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another bootstrap.py is setting up here; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: do without
        yield
    finally:
        os.close(handle)


def stamp_read() -> "dict[str, str]":
    """What the environment was last made from; empty when there is none to go on with."""
    try:
        made = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def ensure(lock: str) -> None:
    """Bring .venv to what requirements/<lock>.lock and pyproject.toml say, if it is not there.

    Does nothing but compare digests when all is as it was. A changed run.lock, another Python or
    a moved checkout rebuilds from nothing; other locks hold the same versions and only add.
    """
    wanted = {
        "python": platform.python_version().rpartition(".")[0],
        "root": str(ROOT),
        "run": digest(ROOT / "requirements" / "run.lock"),
        lock: digest(ROOT / "requirements" / f"{lock}.lock"),
    }
    project = digest(ROOT / "pyproject.toml")

    def current(made: "dict[str, str]") -> bool:
        return all(made.get(key) == value for key, value in wanted.items()) and PYTHON.exists()

    def ready() -> bool:
        made = stamp_read()
        return current(made) and made.get("installed") == "yes" and made.get("project") == project

    if ready():
        return
    with only_one():
        if ready():
            return
        started = time.monotonic()
        made = stamp_read()
        fresh = not PYTHON.exists() or any(
            made.get(key) != wanted[key] for key in ("python", "root", "run")
        )
        try:
            if fresh:
                make_venv()
                made = {key: wanted[key] for key in ("python", "root", "run")}
                STAMP.write_text(json.dumps(made))
            if not current(made) or made.get("installed") != "yes":
                install_lock(lock, fresh=fresh)
            install_project()
            extra = {lock: wanted[lock], "project": project, "installed": "yes"}
            STAMP.write_text(json.dumps({**made, **extra}, indent=1) + "\n")
        except OSError as error:
            fail(f"{error.filename or VENV}: {error.strerror}")
        say(f"Set up in {time.monotonic() - started:.0f} s")


def make_venv() -> None:
    """Make .venv with pip in it, in place of an older one of ours."""
    if VENV.exists() and not STAMP.exists():
        fail(f"{VENV} was not made by bootstrap.py; move it away and start again")
    room = shutil.disk_usage(ROOT).free
    if room < ROOM_BYTES and not VENV.exists():
        fail(f"{ROOT}: {room / 1e9:.1f} GB free, but the set-up needs about {ROOM_BYTES / 1e9:.0f}")
    if digest(PIP) != PIP_SHA256:
        fail(f"{PIP} is damaged; fetch it again, for example with `git checkout {PIP.parent}`")
    try:
        import venv  # some distributions leave it out
    except ImportError:
        fail("this Python lacks its `venv` module; on Debian or Ubuntu: apt install python3-venv")
    say(f"Making {VENV} with Python {platform.python_version()}")
    if VENV.exists():
        shutil.rmtree(VENV)
    VENV.mkdir()
    # From here on it is known as ours, however early the rest is stopped.
    STAMP.write_text("{}")
    venv.EnvBuilder(symlinks=True, with_pip=False).create(VENV)
    pip("pip", [str(PIP), "--no-index", "--no-deps"], runner=[str(PIP / "pip")])


def install_lock(lock: str, *, fresh: bool) -> None:
    """Install every package of a lock, each checked against its hashes."""
    path = ROOT / "requirements" / f"{lock}.lock"
    pins = re.findall(r"^[\w.-]+==.*", path.read_text(), re.MULTILINE)
    total = sum("win32" not in pin for pin in pins)
    say(
        f"Installing {total} packages from {path.relative_to(ROOT)}: about 300 MB to download, "
        "1.1 GB on disk; half a minute besides the download"
        if fresh
        else f"Adding the packages of {path.relative_to(ROOT)} that are not here yet"
    )
    flags = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile"]
    pip("packages", [*flags, "-r", str(path)], total)
    say("Compiling them to bytecode")
    # pip would do it on one core. Packages carry files that are no Python 3: no matter.
    compile_all = [str(PYTHON), "-I", "-m", "compileall", "-qq", "-j", "0", str(VENV / "lib")]
    subprocess.run(compile_all, check=False)


def install_project() -> None:
    """Install the study itself, so that it runs from this checkout; needs no network."""
    pip("the study", ["--no-index", "--no-build-isolation", "--no-deps", "-e", str(ROOT)])


def pip(
    what: str,
    arguments: "list[str]",
    total: int = 0,
    *,
    runner: "list[str] | None" = None,
) -> None:
    """Run `pip install` in .venv, show how far it is, and end with a clear line if it fails.

    All that pip says goes to .venv/bootstrap.log.
    """
    environment = {
        key: value
        for key, value in os.environ.items()
        # Settings that would send the packages elsewhere or ask for other ones.
        if key not in {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_CONSTRAINT", "PIP_REQUIREMENT"}
    }
    environment.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    command = [str(PYTHON), "-I", *(runner or ["-m", "pip"]), "install", *arguments]
    with LOG.open("ab") as log:
        log.write(f"$ {' '.join(command)}\n".encode())
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
        )
        with process:
            said = watch(process.stdout, log, total)  # type: ignore[arg-type]
    if process.returncode != 0:
        text = "\n".join(said)
        reason = next((why for sign, why in REASONS.items() if sign.search(text)), None)
        errors = [line for line in said if "ERROR" in line] or said
        say("\n".join(f"  {line}" for line in errors[-4:]))
        say(f"  (all that pip said: {LOG})")
        fail(f"could not install {what}" + (f": {reason}" if reason else ""))


def watch(stream: "IO[bytes]", log: "IO[bytes]", total: int) -> "list[str]":
    """Follow pip's output until it ends, telling how far it is; hand back its lines.

    On a terminal one line is kept up to date, elsewhere a line is added every ten seconds.
    """
    terminal = sys.stderr.isatty()
    started = told = time.monotonic()
    done, doing, rest = 0, "", b""
    said: list[str] = []
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=1):
                block = os.read(stream.fileno(), 65536)
                if not block:
                    break
                log.write(block)
                *lines, rest = (rest + block).split(b"\n")
                for raw in lines:
                    line = raw.decode(errors="replace").rstrip()
                    said.append(line)
                    if line.startswith("Collecting "):
                        done, doing = done + 1, line.split()[1].partition("==")[0]
                    elif line.startswith("Installing collected"):
                        done, doing = total, "unpacking"
            now = time.monotonic()
            if total and now - told >= (0.2 if terminal else 10):
                told = now
                line = f"  {done} of {total}  {doing}  {now - started:.0f} s"
                if terminal:
                    print(f"\r{line:<72}", end="", file=sys.stderr, flush=True)
                else:
                    say(line)
    if total and terminal:
        print("\r" + " " * 72 + "\r", end="", file=sys.stderr, flush=True)
    return said


def test(arguments: "list[str]") -> int:
    """Run every check, even after one has failed, and pytest last: its summary ends the output.

    Arguments go to pytest, which then runs alone.
    """
    checks = CHECKS[-1:] if arguments else CHECKS
    failed = []
    for name, command in checks:
        more = (arguments or TWO_AT_A_TIME) if name == "pytest" else []
        say(f"== {name}")
        if subprocess.run([str(PYTHON), *command, *more], cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def lock(arguments: "list[str]") -> None:
    """Resolve pyproject.toml into requirements/*.lock, the same versions in all of them.

    Pins that still fit are kept; --upgrade takes the newest of everything.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, str(PIP / "pip"), "install", "-q", "uv>=0.9,<1"], check=True)
        uv = [python, "-m", "uv"]
        every = Path(folder) / "every.lock"
        kept = [path for path in (ROOT / "requirements").glob("*.lock") if not arguments]
        every.write_text("".join(path.read_text() for path in kept))
        environment = {**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "python3 bootstrap.py lock"}

        def resolve(out: Path, groups: "list[str]") -> None:
            flags = ["--universal", "--generate-hashes", "--python-version", f"3.{OLDEST[1]}"]
            subprocess.run(
                [*uv, "pip", "compile", "-q", "pyproject.toml", *flags, *groups, "-o", str(out)],
                cwd=ROOT,
                env=environment,
                check=True,
            )

        resolve(every, [word for name in LOCKS for word in LOCK_GROUPS[name]])
        for name in LOCKS:
            # uv keeps the pins that it finds in the file it is to write.
            out = ROOT / "requirements" / f"{name}.lock"
            shutil.copyfile(every, out)
            resolve(out, LOCK_GROUPS[name])
            say(f"wrote {out.relative_to(ROOT)}")


def become_study(arguments: "list[str]") -> "NoReturn":
    """Turn this process into the study, so that signals and exit status are its own."""
    study = str(VENV / "bin" / "study")
    os.execv(study, [study, *arguments])


def main() -> None:
    """Set up what the command needs, then run that command."""
    verb, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("--help", [])
    if verb in {"-h", "--help", "help"}:
        print(__doc__)
    elif verb == "lock":
        lock(arguments)
    elif verb == "setup":
        name = arguments[0] if arguments else "run"
        if name not in LOCKS:
            fail(f"setup {name}: there is no such lock; it is one of {', '.join(LOCKS)}")
        ensure(name)
    elif verb == "test":
        ensure("dev")
        sys.exit(test(arguments))
    else:
        ensure("run")
        become_study([verb, *arguments])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("\nstopped; the same command goes on from here")
        sys.exit(130)
