"""bootstrap.py, run as a person runs it, on a small project with a package index on this machine.

The real locks take half a minute and a network; the way through them is the same, real uv included.
"""

import ast
import base64
import datetime as dt
import hashlib
import ipaddress
import os
import platform
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# A build backend of a few lines, so that the small project installs without any other package.
BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    info = "fragmentation_study-0.1.dist-info/"
    files = {
        "fragmentation_study.pth": str(__import__("pathlib").Path(__file__).parent),
        info + "METADATA": "Metadata-Version: 2.1\\nName: fragmentation-study\\nVersion: 0.1\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "entry_points.txt": "[console_scripts]\\nstudy = toy:main\\n",
    }
    files[info + "RECORD"] = "".join(f"{name},,\\n" for name in [*files, info + "RECORD"])
    name = "fragmentation_study-0.1-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
TOY = """
import sys
from importlib.metadata import version

def main():
    print("leaf", version("leaf"), *sys.argv[1:])
    sys.exit(7)
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

VERSION = "0.0.1"
LIBC = "manylinux_2_17" if platform.libc_ver()[0] == "glibc" else "musllinux_1_1"
UV_WHEEL = f"uv-{VERSION}-py3-none-{LIBC}_{platform.machine()}.whl"


class IndexHandler(SimpleHTTPRequestHandler):
    """A folder of folders of wheels is a package index; as a proxy it serves every host's.

    With a login set on the server, who does not send it gets nothing.
    """

    def do_GET(self) -> None:
        """Serve a page or file of the folder."""
        self.server.asked.append(self.path)
        self.path = urlsplit(self.path).path
        login = self.server.login and base64.b64encode(self.server.login.encode()).decode()
        if login and self.headers.get("Authorization") != f"Basic {login}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Nothing: the tests read what was asked from the server."""


class Index(ThreadingHTTPServer):
    """A package index of wheels in a folder, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.login = ""
        super().__init__(("127.0.0.1", 0), partial(IndexHandler, directory=str(folder)))
        self.address = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.address}/"

    def add(self, name: str, version: str, text: str = "") -> str:
        """Publish a wheel of one module, and give its digest."""
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        wheel, info = f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info/"
        files = {
            f"{name}.py": text,
            info + "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            info + "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        files[info + "RECORD"] = "".join(f"{path},,\n" for path in [*files, info + "RECORD"])
        with zipfile.ZipFile(self.folder / name / wheel, "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)
        return hashlib.sha256((self.folder / name / wheel).read_bytes()).hexdigest()


@pytest.fixture
def start(tmp_path, uv_wheel) -> Iterator:
    """Start package indexes that have uv, or not; they end with the test."""
    running = []

    def begin(name: str, *, with_uv: bool = True) -> Index:
        folder = tmp_path / name
        folder.mkdir()
        if with_uv:
            (folder / "uv").mkdir()
            os.link(uv_wheel, folder / "uv" / UV_WHEEL)
        index = Index(folder)
        threading.Thread(target=index.serve_forever, daemon=True).start()
        running.append(index)
        return index

    yield begin
    for index in running:
        index.shutdown()
        index.server_close()


@pytest.fixture(scope="module")
def uv_wheel(root, tmp_path_factory) -> Path:
    """A wheel of the uv that this checkout was set up with, or of the machine's."""
    [program, *_] = [*(root / ".venv").glob("uv-*"), shutil.which("uv"), None]
    if program is None:
        pytest.skip("no uv: neither bootstrap.py has set this checkout up, nor is one on the path")
    path = tmp_path_factory.mktemp("uv") / UV_WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(program, f"uv-{VERSION}.data/scripts/uv")
    return path


class Checkout:
    """A folder with bootstrap.py, a study of one line, and locks of one and two packages."""

    def __init__(self, folder: Path, root: Path, index: Index) -> None:
        self.folder, self.index = folder, index
        (folder / "requirements").mkdir(parents=True)
        shutil.copy(root / "bootstrap.py", folder)
        wheel = (index.folder / "uv" / UV_WHEEL).read_bytes()
        pin = f"uv=={VERSION} \\\n    --hash=sha256:{hashlib.sha256(wheel).hexdigest()}\n"
        (folder / "requirements" / "bootstrap.lock").write_text(pin)
        (folder / "pyproject.toml").write_text(PYPROJECT)
        (folder / "backend.py").write_text(BACKEND)
        (folder / "toy.py").write_text(TOY)
        self.home = folder.parent / "home"
        self.home.mkdir()
        self.lock("1.0")

    def lock(self, version: str, *, damaged: bool = False) -> None:
        """Publish leaf at a version and lock it, in dev with twig; damaged: by another digest."""
        leaf, twig = self.index.add("leaf", version), self.index.add("twig", "1.0")
        digest = hashlib.sha256(b"").hexdigest() if damaged else leaf
        run = f"leaf=={version} \\\n    --hash=sha256:{digest}\n"
        (self.folder / "requirements" / "run.lock").write_text(run)
        dev = f"{run}twig==1.0 \\\n    --hash=sha256:{twig}\n"
        (self.folder / "requirements" / "dev.lock").write_text(dev)

    def run(
        self, *arguments: str, cwd: Path | None = None, python: Path | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run bootstrap.py with the settings given, by default the index, and no others."""
        settings = more or {"PIP_INDEX_URL": self.index.url}
        quiet = {"PIP_CONFIG_FILE": os.devnull, "UV_HTTP_RETRIES": "0", "HOME": str(self.home)}
        return subprocess.run(
            [str(python or sys.executable), str(self.folder / "bootstrap.py"), *arguments],
            env={**quiet, **settings},
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def holds(self, package: str) -> bool:
        """True if .venv has a package."""
        return any((self.folder / ".venv" / "lib").glob(f"python*/site-packages/{package}.py"))


@pytest.fixture
def checkout(tmp_path, root, start) -> Checkout:
    return Checkout(tmp_path / "a checkout", root, start("an index"))


def test_first_it_sets_up_then_it_starts_at_once(checkout, tmp_path):
    """The study gets arguments and working folder, its status comes back, and twice is quick."""
    first = checkout.run("run", "some.yaml", "seed=3", cwd=tmp_path)
    asked = len(checkout.index.asked)
    again = checkout.run("run", "other.yaml", cwd=tmp_path)

    assert (first.returncode, first.stdout) == (7, "leaf 1.0 run some.yaml seed=3\n"), first.stderr
    assert f"Fetching uv {VERSION}" in first.stderr
    assert "Installing requirements/run.lock" in first.stderr
    assert (again.returncode, again.stdout, again.stderr) == (7, "leaf 1.0 run other.yaml\n", "")
    assert len(checkout.index.asked) == asked


@pytest.mark.parametrize(
    "place", [".config/pip/pip.conf", ".pip/pip.conf", "PIP_CONFIG_FILE", "xdg/pip/pip.conf"]
)
def test_the_index_of_pips_files_holds(checkout, place):
    """The index that any of pip's files names serves uv and the packages, command section first."""
    file = checkout.home / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        "[global]\nindex-url = http://127.0.0.1:9/simple\n"
        f"[install]\nindex_url = {checkout.index.url}\n"
    )
    own = str(file) if place == "PIP_CONFIG_FILE" else ""
    folders = str(checkout.home / "xdg")
    done = checkout.run("run", PIP_CONFIG_FILE=own, XDG_CONFIG_DIRS=folders)

    assert done.stdout == "leaf 1.0 run\n", done.stderr


def test_a_variable_of_pips_goes_before_its_files(checkout):
    """PIP_INDEX_URL holds against pip.conf, as with pip."""
    (checkout.home / ".pip").mkdir()
    (checkout.home / ".pip" / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/\n")
    done = checkout.run("run", PIP_CONFIG_FILE="", PIP_INDEX_URL=checkout.index.url)

    assert done.stdout == "leaf 1.0 run\n", done.stderr


def test_folders_of_wheels_do_instead_of_an_index(checkout, tmp_path):
    """find-links with no-index needs no network, and a folder that is missing is passed over."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for wheel in checkout.index.folder.glob("*/*.whl"):
        os.link(wheel, folder / wheel.name)
    done = checkout.run("run", PIP_NO_INDEX="1", PIP_FIND_LINKS=f"{tmp_path}/none {folder}")

    assert done.stdout == "leaf 1.0 run\n", done.stderr
    assert checkout.index.asked == []


def test_the_locked_file_is_taken_from_whichever_index_has_it(checkout, start):
    """Beside the index an extra one is searched, and what it has instead is no hindrance."""
    extra = start("extra", with_uv=False)
    extra.add("leaf", "2.0")
    done = checkout.run("run", PIP_INDEX_URL=extra.url, PIP_EXTRA_INDEX_URL=checkout.index.url)

    assert done.stdout == "leaf 1.0 run\n", done.stderr


def test_the_login_of_an_index_is_sent_and_never_shown(checkout):
    """User and password in the index's address reach uv and the fetch of it, and no message."""
    checkout.index.login = "ann:s3:cret"
    right = checkout.index.url.replace("//", "//ann:s3%3Acret@")
    wrong = checkout.run("run", PIP_INDEX_URL=right.replace("cret", "crot"))
    done = checkout.run("run", PIP_INDEX_URL=right)

    assert wrong.returncode == 1
    assert "401" in wrong.stderr
    assert "crot" not in wrong.stderr
    assert "cret" not in done.stderr
    assert done.stdout == "leaf 1.0 run\n", done.stderr


def test_the_proxy_of_pip_holds(checkout):
    """With pip's proxy set, an index that this machine cannot reach is reached through it."""
    index = "http://index.invalid/"
    done = checkout.run("run", PIP_INDEX_URL=index, PIP_PROXY=checkout.index.url)

    assert done.stdout == "leaf 1.0 run\n", done.stderr
    assert all(path.startswith(index) for path in checkout.index.asked)


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> tuple[Path, Path]:
    """The certificate of an unknown authority, and one that it has signed, with its key."""
    folder = tmp_path_factory.mktemp("authority")
    now = dt.datetime.now(dt.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, who)]) for who in "ab"]
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    extensions = [x509.BasicConstraints(ca=True, path_length=None), address]
    for name, key, extension, path in zip(names, keys, extensions, "ab", strict=True):
        builder = x509.CertificateBuilder(
            names[0], name, key.public_key(), x509.random_serial_number()
        )
        certificate = (
            builder.not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(extension, critical=extension is not address)
            .sign(keys[0], hashes.SHA256())
        )
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        secret = key.private_bytes(serialization.Encoding.PEM, *form)
        public = certificate.public_bytes(serialization.Encoding.PEM)
        (folder / path).write_bytes(public if path == "a" else secret + public)
    return folder / "a", folder / "b"


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"PIP_CERT": "{certificate}"}, 7),
        ({"REQUESTS_CA_BUNDLE": "{certificate}"}, 7),
        ({"PIP_TRUSTED_HOST": "{host}"}, 7),
        ({}, 1),
    ],
)
def test_the_certificates_of_pip_hold(checkout, authority, settings, status):
    """An index is trusted by pip's certificate or host setting, and not without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority[1])
    checkout.index.socket = context.wrap_socket(checkout.index.socket, server_side=True)
    host = checkout.index.address
    chosen = {
        name: value.format(certificate=authority[0], host=host) for name, value in settings.items()
    }
    done = checkout.run("run", PIP_INDEX_URL=f"https://{host}/", **chosen)

    assert done.returncode == status, done.stderr
    assert status == 7 or "CERTIFICATE_VERIFY_FAILED" in done.stderr


def test_a_missing_file_of_certificates_is_named(checkout):
    """A certificate setting that leads nowhere is named with its path, and nothing is fetched."""
    done = checkout.run("run", PIP_INDEX_URL=checkout.index.url, PIP_CERT="/nowhere/roots.pem")

    assert done.returncode == 1
    assert "/nowhere/roots.pem" in done.stderr
    assert "Traceback" not in done.stderr
    assert checkout.index.asked == []


def test_settings_that_would_install_elsewhere_do_not_hold(checkout, tmp_path):
    """Packages land in .venv whatever pip and uv are told about where to put them."""
    elsewhere = str(tmp_path / "elsewhere")
    names = ("PIP_TARGET", "PIP_PREFIX", "UV_TARGET", "UV_PYTHON", "UV_CONSTRAINT", "VIRTUAL_ENV")
    done = checkout.run(
        "run",
        PIP_INDEX_URL=checkout.index.url,
        PIP_USER="1",
        UV_SYSTEM_PYTHON="1",
        UV_NO_VERIFY_HASHES="1",
        **dict.fromkeys(names, elsewhere),
    )

    assert done.returncode == 7, done.stderr
    assert not Path(elsewhere).exists()


@pytest.mark.parametrize("home", ["/dev/null", "/proc/none"])
def test_without_a_home_the_cache_goes_with_the_set_up(checkout, home):
    """Where uv's cache cannot be written, one in .venv does, and it is not left there."""
    done = checkout.run("run", PIP_INDEX_URL=checkout.index.url, HOME=home)

    assert done.stdout == "leaf 1.0 run\n", done.stderr
    assert not (checkout.folder / ".venv" / "cache").exists()


def test_a_changed_lock_renews_the_environment(checkout):
    """After the lock has moved, the next start runs with what it says now."""
    checkout.run("run")
    checkout.lock("1.1")
    done = checkout.run("run")

    assert done.stdout == "leaf 1.1 run\n"


def test_another_lock_adds_to_what_is_there(checkout):
    """After `setup dev` a run finds the environment as it is, the tools of dev stay."""
    checkout.run("setup", "run")
    before = checkout.holds("twig")
    checkout.run("setup", "dev")
    again = checkout.run("run")
    checkout.lock("1.1")
    renewed = checkout.run("run")

    assert not before
    assert (again.stdout, again.stderr) == ("leaf 1.0 run\n", "")
    assert renewed.stdout == "leaf 1.1 run\n"
    assert checkout.holds("twig")


def test_a_stopped_set_up_goes_on(checkout):
    """An environment that was left half made is finished by the next start."""
    checkout.lock("1.0", damaged=True)
    assert checkout.run("run").returncode == 1
    checkout.lock("1.0")

    assert checkout.run("run").stdout == "leaf 1.0 run\n"


def test_a_moved_checkout_is_set_up_anew(checkout, tmp_path):
    """An environment knows its own path, so it is made again when the checkout moves.

    Also when it is its own Python that starts it, as after `source .venv/bin/activate`.
    """
    checkout.run("run")
    checkout.folder = checkout.folder.rename(tmp_path / "moved")
    done = checkout.run("run", python=checkout.folder / ".venv" / "bin" / "python")

    assert (done.returncode, done.stdout) == (7, "leaf 1.0 run\n"), done.stderr


def test_a_file_with_another_hash_is_refused(checkout):
    """A package that is not the locked one is never installed, and the reason is one line."""
    checkout.lock("1.0", damaged=True)
    done = checkout.run("run")

    assert done.returncode == 1
    assert "differs from the locked one" in done.stderr.splitlines()[-1]
    assert not checkout.holds("leaf")


def test_a_uv_with_another_hash_is_never_run(checkout):
    """A uv that is not the locked one is not even unpacked, and the reason is one line."""
    wheel = checkout.index.folder / "uv" / UV_WHEEL
    wheel.unlink()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"uv-{VERSION}.data/scripts/uv", "#!/bin/sh\ntouch run\n")
    done = checkout.run("run")

    assert done.returncode == 1
    assert f"{UV_WHEEL} differs from the locked one" in done.stderr.splitlines()[-1]
    assert not [*checkout.folder.glob("**/run"), *checkout.folder.glob(".venv/uv*")]


def test_no_uv_for_this_machine_is_told_in_one_line(checkout):
    """An index that answers but has no uv for this machine is not taken for a silent one."""
    (checkout.index.folder / "uv" / UV_WHEEL).rename(checkout.index.folder / "uv" / "uv-other.whl")
    done = checkout.run("run")

    assert done.returncode == 1
    assert f"no index has it for {platform.machine()}" in done.stderr.splitlines()[-1]


def test_no_network_is_told_in_one_line(checkout):
    """Without an answer from the index the last line says so."""
    done = checkout.run("run", PIP_INDEX_URL="http://127.0.0.1:9/simple")

    assert done.returncode == 1
    assert "no answer from the package index" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_without_a_network_what_is_there_still_runs(checkout):
    """An addition that fails for want of the index says so in one line and breaks nothing."""
    checkout.run("run")
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    failed = checkout.run("setup", "dev", **offline)
    done = checkout.run("run", **offline)

    assert failed.returncode == 1
    assert "no answer from the package index" in failed.stderr.splitlines()[-1]
    assert (done.stdout, done.stderr) == ("leaf 1.0 run\n", "")


def test_settings_of_pip_that_cannot_be_read_are_named(checkout):
    """A pip.conf that is none ends in one line with its path."""
    (checkout.home / ".pip").mkdir()
    file = checkout.home / ".pip" / "pip.conf"
    file.write_text("index-url = https://x/\n")
    done = checkout.run("run", PIP_CONFIG_FILE="")

    assert done.returncode == 1
    assert str(file) in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("given", ["1e400", "abc", "-3", "9" * 400])
def test_a_timeout_that_is_none_is_named(checkout, given):
    """What cannot be a number of seconds is a line, never an index that does not answer."""
    done = checkout.run("run", UV_HTTP_TIMEOUT=given)

    assert done.returncode == 1
    assert "UV_HTTP_TIMEOUT (pip's timeout) is" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert checkout.index.asked == []


def test_a_pipe_for_pips_settings_is_passed_over(checkout):
    """As a file that is not there: nobody waits for what is written into it."""
    os.mkfifo(checkout.home / "pip.conf")
    done = checkout.run(
        "run",
        PIP_CONFIG_FILE=str(checkout.home / "pip.conf"),
        PIP_INDEX_URL=checkout.index.url,
    )

    assert done.stdout == "leaf 1.0 run\n", done.stderr


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_somebody_elses_environment_is_left_alone(checkout, tmp_path, kind):
    """A .venv that bootstrap.py did not make is neither used nor removed."""
    theirs = tmp_path / "theirs" if kind == "link" else checkout.folder / ".venv"
    theirs.mkdir()
    (theirs / "bootstrap.json" if kind == "link" else theirs / "pyvenv.cfg").touch()
    if kind == "link":
        (checkout.folder / ".venv").symlink_to(theirs)
    before = sorted(theirs.iterdir())
    done = checkout.run("run")

    assert done.returncode == 1
    assert "was not made by bootstrap.py" in done.stderr
    assert sorted(theirs.iterdir()) == before


@pytest.mark.parametrize("name", ["run.lock", "bootstrap.lock"])
def test_a_missing_file_is_named(checkout, name):
    """A checkout that lacks a file of the envelope says which one."""
    (checkout.folder / "requirements" / name).unlink()
    done = checkout.run("run")

    assert done.returncode == 1
    assert f"{name}: No such file or directory; is the checkout complete?" in done.stderr


def test_an_unknown_lock_is_named(checkout):
    """`setup` with a name that is no lock says which there are."""
    done = checkout.run("setup", "everything")

    assert done.returncode == 1
    assert "run, dev, cluster" in done.stderr


@pytest.mark.parametrize(
    ("pretence", "said"),
    [
        ("sys.version_info = (3, 10, 4)", "needs 3.11 to 3.14"),
        ("sys.version_info = (3, 15, 0)", "needs 3.11 to 3.14"),
        ("sys.platform = 'freebsd14'", "needs Linux"),
    ],
)
def test_another_python_or_system_is_told_what_does(checkout, pretence, said):
    """A Python that is too old, or newer than the locks, or no Linux: one line, no traceback."""
    pretend = f"import sys, runpy; {pretence}; sys.argv[1:] = ['run']; "
    start = f"runpy.run_path({str(checkout.folder / 'bootstrap.py')!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", pretend + start], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_old_pythons_can_read_as_far_as_the_line_that_sends_them_away(root):
    """The file has no syntax that is younger than Python 3.6."""
    assert ast.parse((root / "bootstrap.py").read_text(), feature_version=(3, 6)).body


def test_help_shows_the_ways_to_use_it(checkout):
    """Without a command it explains itself and touches nothing."""
    done = checkout.run()

    assert done.returncode == 0
    assert "bootstrap.py test" in done.stdout
    assert not (checkout.folder / ".venv").exists()
