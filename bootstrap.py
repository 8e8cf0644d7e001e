#!/usr/bin/env python3
"""Set the study up in .venv and run something in it; needs Linux and Python 3.11 to 3.14.

    python3 bootstrap.py run scenarios/article.yaml   run a study (any `study` command goes here)
    python3 bootstrap.py test [PYTEST ARGUMENT ...]   linters, type checker, tests
    python3 bootstrap.py docs                         build docs/_build/html/index.html
    python3 bootstrap.py setup [run | dev | cluster]  only set up, from requirements/<that>.lock
    python3 bootstrap.py lock [--upgrade]             write requirements/*.lock from pyproject.toml

The first time it fetches uv, by the digests in requirements/bootstrap.lock, which installs the
locked packages; later it sees that nothing has changed and starts at once. pip's settings (index,
certificates, proxy) hold. Delete .venv to start afresh. With a uv of your own see CONTRIBUTING.md.
"""

import configparser
import hashlib
import io
import json
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import time
import zipfile
from html import unescape
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn
from urllib import request
from urllib.parse import unquote, urljoin, urlsplit

# The whole file has a syntax, and these lines run, that Pythons from 3.6 on understand.
OLDEST, NEWEST = (3, 11), (3, 14)
if not OLDEST <= sys.version_info[:2] <= NEWEST:
    fitting = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    here = [f"; this machine has {name}: start with that" for name in fitting if shutil.which(name)]
    needed = f"the study needs 3.{OLDEST[1]} to 3.{NEWEST[1]}" + "".join(here[:1])
    sys.exit(f"bootstrap.py: this is Python {platform.python_version()}, but {needed}")
if not sys.platform.startswith("linux"):
    sys.exit("bootstrap.py: the study needs Linux; on Windows use WSL")

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON, STUDY, STAMP = VENV / "bin" / "python", VENV / "bin" / "study", VENV / "bootstrap.json"
LOCKS = ("run", "dev", "cluster")
ROOM_BYTES = 2_000_000_000
# uv's name of a setting and pip's; uv's own, in the environment, goes first.
SETTINGS = {
    "UV_DEFAULT_INDEX": "index-url",
    "UV_EXTRA_INDEX_URL": "extra-index-url",
    "UV_FIND_LINKS": "find-links",
    "UV_INSECURE_HOST": "trusted-host",
    "UV_HTTP_TIMEOUT": "timeout",
    "UV_HTTP_RETRIES": "retries",
    "SSL_CERT_FILE": "cert",
    "SSL_CLIENT_CERT": "client-cert",
    "http_proxy": "proxy",
    "https_proxy": "proxy",
}
# Others of uv's would install elsewhere, or something else.
KEPT = {*SETTINGS, "UV_CACHE_DIR", "UV_LINK_MODE", "UV_COMPILE_BYTECODE", "UV_SYSTEM_CERTS"}
# What uv says when it fails, and what to do about it, most telling first.
LARGEST = 256 << 20  # bytes of what an index sends, before its digest is looked at
UNREACHABLE = "no answer from the package index; look at the network and at pip's settings"
REASONS = {
    "No space left|os error 28": f"the disk is full; {ROOM_BYTES / 1e9:.0f} GB are needed",
    "Read-only file system|Permission denied": "a folder cannot be written",
    "Hash mismatch": "a file differs from the locked one; who altered it?",
    "Failed to fetch|Request failed|sending request|timed out|[Nn]etwork": UNREACHABLE,
    "unsatisfiable|No solution|no wheels|not found": "the index has no build for this machine, "
    f"{platform.platform()}; Ray needs Linux with glibc on x86-64 or arm64",
}


def say(line: str) -> None:
    """Print one line for the person, on stderr: stdout belongs to the study."""
    print(line, file=sys.stderr, flush=True)


def fail(line: str) -> NoReturn:
    """End with one clear line."""
    sys.exit(f"bootstrap.py: {line}")


def content(name: str) -> bytes:
    """Read a file of the study; ends the program when it is missing."""
    try:
        return (ROOT / name).read_bytes()
    except OSError as error:
        fail(f"{ROOT / name}: {error.strerror}; is the checkout complete?")


def pip_settings() -> "dict[str, str]":
    """Read pip's settings from its files and the PIP_ variables; later ones win, as with pip."""
    own = os.environ.get("PIP_CONFIG_FILE", "")
    config = os.environ.get("XDG_CONFIG_HOME", "~/.config")
    folders = os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
    files = [*(f"{folder}/pip/pip.conf" for folder in folders), "/etc/pip.conf"]
    files += [] if os.path.exists(own) else ["~/.pip/pip.conf", f"{config}/pip/pip.conf"]
    files = [] if own == os.devnull else [*files, f"{sys.prefix}/pip.conf", own]
    parser = configparser.RawConfigParser()
    try:
        # A pipe would keep us waiting for somebody to write into it.
        parser.read([path for path in map(os.path.expanduser, files) if os.path.isfile(path)])
    except (ValueError, configparser.Error) as error:
        fail(f"pip's settings cannot be read: {' '.join(str(error).split())}")
    pairs = [
        pair for name in ("global", "install") if name in parser for pair in parser.items(name)
    ]
    pairs += [(key[4:], value) for key, value in os.environ.items() if key.startswith("PIP_")]
    settings = {key.lower().replace("_", "-"): value for key, value in pairs if value.strip()}
    return {key.replace("default-", ""): os.path.expanduser(x) for key, x in settings.items()}


def environment() -> "dict[str, str]":
    """Make the environment for uv: this one, and pip's settings in uv's words."""
    pip = pip_settings()
    result = {
        key: value
        for key, value in os.environ.items()
        if key in KEPT or not key.startswith(("UV_", "VIRTUAL_ENV", "CONDA_"))
    }
    for name, key in SETTINGS.items():
        if key in pip and (name not in result or not name.startswith("UV_")):
            result[name] = pip[key]
    for bundle in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # pip takes these too
        if bundle in result:
            result.setdefault("SSL_CERT_FILE", result[bundle])
    if os.path.isdir(result.get("SSL_CERT_FILE", "")):
        result["SSL_CERT_DIR"] = result.pop("SSL_CERT_FILE")
    timeout = re.fullmatch(r"\s*(\d{1,6})(\.\d*)?\s*", result.get("UV_HTTP_TIMEOUT") or "30")
    if timeout is None:
        given = result["UV_HTTP_TIMEOUT"][:40]
        fail(f"UV_HTTP_TIMEOUT (pip's timeout) is {given!r}; it is a number of seconds, as 30")
    result["UV_HTTP_TIMEOUT"] = timeout[1]
    result.setdefault("UV_DEFAULT_INDEX", "https://pypi.org/simple")
    if pip.get("no-index", "0").lower() not in {"0", "n", "no", "f", "false", "off"}:
        result["UV_DEFAULT_INDEX"] = result["UV_EXTRA_INDEX_URL"] = ""
    # uv stops at a folder that is missing.
    links = re.split(r"[\s,]+", result.get("UV_FIND_LINKS", ""))
    result["UV_FIND_LINKS"] = ",".join(x for x in links if "://" in x or os.path.exists(x))
    try:
        cache = result.get("UV_CACHE_DIR") or result.get("XDG_CACHE_HOME") or "~/.cache"
        os.makedirs(os.path.expanduser(cache), exist_ok=True)
        writable = os.access(os.path.expanduser(cache), os.W_OK)
    except OSError:
        writable = False
    if not writable:
        result["UV_CACHE_DIR"] = str(VENV / "cache")
    # Every index is asked for every package, as by pip: hashes say which file it is.
    result["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {**result, "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}


def opener(settings: "dict[str, str]", indexes: "list[str]") -> request.OpenerDirector:
    """What opens URLs: through the proxy, with the certificates and logins of the settings."""
    file, folder = settings.get("SSL_CERT_FILE"), settings.get("SSL_CERT_DIR")
    if file and not os.path.exists(file):
        raise FileNotFoundError(f"{file}, with the certificates, is not there")
    context = ssl.create_default_context(cafile=file, capath=folder)
    if "SSL_CLIENT_CERT" in settings:
        context.load_cert_chain(settings["SSL_CLIENT_CERT"])
    logins = request.HTTPPasswordMgrWithDefaultRealm()
    for parts in map(urlsplit, indexes):
        if parts.username:
            host = parts.netloc.rpartition("@")[2]
            logins.add_password(None, host, unquote(parts.username), unquote(parts.password or ""))
    known = ssl.get_default_verify_paths()
    bare = not (file or folder or known.cafile or (known.capath and any(os.scandir(known.capath))))
    if "UV_INSECURE_HOST" in settings or (bare and "@" not in "".join(indexes)):
        # Small systems have no certificates at all. What is run is checked by its digest anyway.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    proxies = {x: settings[f"{x}_proxy"] for x in ("http", "https") if f"{x}_proxy" in settings}
    https, proxy = request.HTTPSHandler(context=context), request.ProxyHandler(proxies)
    return request.build_opener(https, proxy, request.HTTPBasicAuthHandler(logins))


def fetch_uv(settings: "dict[str, str]") -> Path:
    """Fetch the locked uv into .venv, unless it is there."""
    pin = content("requirements/bootstrap.lock").decode()
    version = "".join(re.findall(r"^uv==([\w.]+)", pin, re.MULTILINE))
    path = VENV / f"uv-{version}"
    if path.exists():
        return path
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    fits = re.compile(rf"uv-{version}-py3-none-.*{libc}\w*_{platform.machine()}\b.*\.whl")
    indexes = f"{settings['UV_DEFAULT_INDEX']} {settings.get('UV_EXTRA_INDEX_URL', '')}".split()
    pages = [f"{index.rstrip('/')}/uv/" for index in indexes]
    problem = f"no index has it for {platform.machine()} with {libc}"
    say(f"Fetching uv {version}, which installs the packages (20 MB)")

    def read(url: str) -> "tuple[str, bytes]":
        url, timeout = re.sub("//[^/]*@", "//", url), float(settings["UV_HTTP_TIMEOUT"])
        with opener(settings, indexes).open(url, timeout=timeout) as answer:
            body = answer.read(LARGEST + 1)
            if len(body) > LARGEST:
                raise ValueError(f"an answer of over {LARGEST >> 20} MB")
            return answer.geturl(), body

    for page in [*filter(None, settings["UV_FIND_LINKS"].split(",")), *pages]:
        try:
            if "://" not in page:
                links = [item.resolve().as_uri() for item in Path(page).iterdir()]
            else:
                base, body = read(f"{page}index.html" if page.startswith("file:") else page)
                hrefs = re.findall(rb"""href\s*=\s*["']([^"'#]+)""", body, re.IGNORECASE)
                links = [urljoin(base, unescape(href.decode())) for href in hrefs]
            names = {unquote(urlsplit(link).path).rpartition("/")[2]: link for link in links}
            name = min(filter(fits.fullmatch, names), default="")  # the one for the oldest system
            wheel = read(names[name])[1] if name else b""
        except (OSError, ValueError, HTTPException) as error:
            if not page.startswith("file:") and getattr(error, "code", 0) != 404:
                say(f"  {re.sub('//[^/]*@', '//', page)}: {error}")
                problem = UNREACHABLE
            continue
        if name and hashlib.sha256(wheel).hexdigest() not in re.findall(r"sha256:(\w+)", pin):
            fail(f"{name} differs from the locked one; who altered it?")
        if name:
            aside = VENV / "uv.new"
            with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
                aside.write_bytes(archive.read(f"uv-{version}.data/scripts/uv"))
            aside.chmod(0o755)
            return aside.replace(path)
    fail(f"could not fetch uv {version}: {problem}")


def uv(settings: "dict[str, str]", program: Path, *arguments: "str | Path") -> str:
    """Run uv, pass on what it says but lists of packages, and hand back why it failed, or ''."""
    command, said = [program, *arguments], ""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stderr=pipe, env=settings, cwd=ROOT, text=True) as process:
        for line in process.stderr or ():
            said += line
            if not re.match(r" [-+~] | *Buil|Using |Checked|warning: Failed to .*link|\s*$", line):
                say(f"  {line.rstrip()}")
    reasons = (reason for signs, reason in REASONS.items() if re.search(signs, said))
    status = process.returncode
    return next(reasons, f"uv ended with status {status}") if status else ""


def stamps(name: str) -> "tuple[dict[str, Any], dict[str, Any]]":
    """What .venv was last made from, and what it shall be made from: this lock and earlier ones."""
    try:
        made = json.loads(STAMP.read_text())
        names = sorted({*made["locks"], name} & set(LOCKS))
    except (OSError, ValueError, LookupError, TypeError):
        made, names = {}, [name]
    files = ["pyproject.toml", *(f"requirements/{lock}.lock" for lock in names)]
    project, *locks = [hashlib.sha256(content(file)).hexdigest() for file in files]
    python = "{}.{}".format(*sys.version_info)
    wanted = {"python": python, "root": str(ROOT), "project": project}
    return made, {**wanted, "locks": dict(zip(names, locks, strict=True))}


def ensure(name: str) -> None:
    """Bring .venv to what the locks and pyproject.toml say; at once, if it is there already."""
    made, wanted = stamps(name)
    if made == wanted and PYTHON.exists() and STUDY.exists():
        return
    import fcntl  # not on Windows, whose Pythons should read this far

    started, checkout = time.monotonic(), os.open(ROOT, os.O_RDONLY)
    try:
        # A second set-up at the same time waits here for the first.
        fcntl.flock(checkout, fcntl.LOCK_EX)
        made, wanted = stamps(name)
        if made != wanted or not (PYTHON.exists() and STUDY.exists()):
            set_up(made, wanted)
            say(f"Set up in {time.monotonic() - started:.0f} s")
    except OSError as error:
        fail(f"{error.filename or VENV}: {error.strerror or error}")
    finally:
        os.close(checkout)


def own_venv() -> None:
    """Make the folder .venv; ends the program if there is one that is somebody else's."""
    room = shutil.disk_usage(ROOT).free
    if VENV.is_symlink() or (VENV.exists() and not STAMP.exists()):
        fail(f"{VENV} was not made by bootstrap.py; move it away and start again")
    if room < ROOM_BYTES and not VENV.exists():
        fail(f"{ROOT}: {room / 1e9:.1f} GB free, but the set-up needs about {ROOM_BYTES / 1e9:.0f}")
    VENV.mkdir(exist_ok=True)
    STAMP.touch()  # from here on it is known as ours, however early the rest is stopped


def set_up(made: "dict[str, Any]", wanted: "dict[str, Any]") -> None:
    """Make .venv anew for another Python or place, and have uv bring it to the locks."""
    own_venv()
    settings = environment()
    program = fetch_uv(settings)
    same = PYTHON.exists() and all(made.get(key) == wanted[key] for key in ("python", "root"))
    STAMP.write_text("{}")  # stopped from here on, the next start makes all anew
    if not same:
        say(f"Making {VENV} with Python {platform.python_version()}")
        for old in {*VENV.iterdir()} - {program, STAMP, VENV / "cache"}:
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        made, base = {}, getattr(sys, "_base_executable", sys.executable)
        problem = uv(settings, program, "venv", "-q", "--allow-existing", "-p", base, VENV)
        if problem:
            fail(f"could not make {VENV}: {problem}")
    if made.get("locks") != wanted["locks"]:
        files = [f"requirements/{lock}.lock" for lock in wanted["locks"]]
        size = "what is missing" if same else "about 300 MB to download, 1.1 GB on disk"
        say(f"Installing {' and '.join(files)}: {size}")
        flags = ["--require-hashes", "--only-binary", ":all:", "-p", str(PYTHON)]
        flags += [] if settings["UV_DEFAULT_INDEX"] else ["--no-index"]
        problem = uv(settings, program, "pip", "sync", *flags, *files)
        if problem == UNREACHABLE and same:
            STAMP.write_text(json.dumps(made))  # uv fetches first: nothing has changed
        if problem:
            fail(f"could not install the packages: {problem}")
    flags = ["--no-index", "--no-deps", "--no-build-isolation", "--reinstall", "-p", str(PYTHON)]
    problem = uv(settings, program, "pip", "install", "-q", *flags, "-e", ROOT)
    if problem:
        fail(f"could not install the study: {problem}")
    shutil.rmtree(VENV / "cache", ignore_errors=True)
    STAMP.write_text(json.dumps(wanted, indent=1) + "\n")


def main() -> None:
    """Set up what the command needs, then become that command: signals and status are its own."""
    verb, *arguments = sys.argv[1:] or ["--help"]
    if verb in {"-h", "--help", "help"}:
        print(__doc__)
    elif verb == "lock":
        own_venv()
        settings = environment()
        settings["UV"] = str(fetch_uv(settings))
        os.execve(ROOT / "requirements" / "lock", ["lock", *arguments], settings)
    elif verb == "setup":
        name = arguments[0] if arguments else "run"
        if name not in LOCKS:
            fail(f"setup {name}: there is no such lock; it is one of {', '.join(LOCKS)}")
        ensure(name)
    elif verb == "test":
        ensure("dev")
        os.execv(ROOT / ".ci" / "checks", [".ci/checks", *arguments])
    elif verb == "docs":
        ensure("dev")
        flags = ["-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-b", "html", *arguments]
        os.execv(PYTHON, [str(PYTHON), *flags, str(ROOT / "docs"), str(ROOT / "docs/_build/html")])
    else:
        ensure("run")
        os.execv(STUDY, [str(STUDY), verb, *arguments])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("\nstopped; the same command goes on from here")
        sys.exit(130)
