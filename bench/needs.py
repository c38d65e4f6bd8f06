"""Says what a benchmark needs and this machine does not have, before it begins: the program or the module, the line of
packages.txt that brings it, and the command that installs it.

  needs.check(build / "peer/peer", "aria2c", "curl", modules=["libtorrent"], root=True)

A name with a slash is a file; one below the build folder is built, not installed.
"""
import importlib, os, pathlib, shutil, subprocess, sys

LIST = pathlib.Path(__file__).with_name("packages.txt")
PACKAGES = {
    "aria2c": "aria2", "/usr/bin/chromedriver": "chromium-driver", "/usr/bin/chromium": "chromium", "curl": "curl",
    "etcd": "etcd-server", "etcdctl": "etcd-client", "ip": "iproute2",
    "/usr/sbin/inspircd": "inspircd", "libtorrent": "python3-libtorrent", "matplotlib": "python3-matplotlib",
    "/usr/sbin/ngircd": "ngircd", "/usr/sbin/nginx": "nginx-light", "nsenter": "util-linux", "openssl": "openssl",
    "opentracker": "opentracker", "rsync": "rsync", "selenium": "python3-selenium", "setpriv": "util-linux",
    "sh": "dash", "sha256sum": "coreutils",
    "sleep": "coreutils", "ss": "iproute2", "tc": "iproute2", "unshare": "util-linux", "valgrind": "valgrind",
}
SYSTEM_PYTHON = "/usr/bin/python3"  # runs libtorrent_peer
NETWORK = ("ip", "tc", "setpriv", "unshare", "nsenter", "sleep")  # hosts.py
TORRENTS = ("opentracker", "curl", SYSTEM_PYTHON)                 # for libtorrent and aria2 among several


def line_of(package):
    """A line number of packages.txt, from 1."""
    for number, line in enumerate(LIST.read_text().splitlines(), 1):
        if line.split("#")[0].strip() == package:
            return number
    raise LookupError(f"{LIST.name} has no line for {package}")


def is_program(name):
    return os.access(name, os.X_OK) and pathlib.Path(name).is_file() if "/" in name else shutil.which(name) is not None


def is_module(name):
    """Whether the system's Python has the module: Debian's packages are for this one."""
    question = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return is_program(SYSTEM_PYTHON) and subprocess.run([SYSTEM_PYTHON, "-c", question], check=False).returncode == 0


def package_sentence(name, kind):
    package = PACKAGES[name]
    return (f"the {kind} {name} is missing: apt-get install --no-install-recommends {package}"
            f" (line {line_of(package)} of bench/{LIST.name})")


def fail(sentences):
    for sentence in sentences:
        print(f"{pathlib.Path(sys.argv[0]).name}: {sentence}", file=sys.stderr)
    sys.exit(69)


def check(*programs, modules=(), root=False):
    """Ends the program with a sentence for each need that is missing."""
    missing = []
    for program in dict.fromkeys(str(one) for one in programs):
        if is_program(program):
            continue
        if program in PACKAGES:
            missing.append(package_sentence(program, "program"))
        elif program == SYSTEM_PYTHON:
            missing.append(f"{program} is missing: apt-get install python3 (packages.txt)")
        else:
            missing.append(f"{program} is not there: build it with ninja -C BUILD benchmarks, and say --build BUILD")
    missing += [package_sentence(module, "Python module") for module in modules if not is_module(module)]
    if root and os.geteuid() != 0:
        missing.append("it makes network namespaces, which only root may")
    if missing:
        fail(missing)


def module(name):
    """Imports and returns the module. If that fails, ends the program with a sentence."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        fail([f"{package_sentence(name, 'Python module')}; {error}"])
