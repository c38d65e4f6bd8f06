"""Each rule is a function of a source and all sources by path, and yields (line, what is wrong)."""
import dataclasses
import fnmatch
import functools
import pathlib
import re

FILE_LINES = 400
TEST_FILE_LINES = 600  # a list of cases is long for a good reason
FUNCTION_LINES = 70
CODE_COLUMNS = 100
OTHER_COLUMNS = 120

# folder -> the folders it may include from. Runs one way: a line names only what stands above it.
LAYERS = {
    "common/base": [],
    "common/crypto": ["common/base"],
    "common/sqlite": ["common/base"],
    "common/wire": ["common/base", "common/crypto"],
    "common/net": ["common/base", "common/crypto", "common/wire/frame.h", "common/wire/hello.h"],
    "common/command": ["common"],
    "common/web": ["common/base", "common/command"],
    "topo": ["common/base"],
    "common/whatif": ["common", "topo"],
    "metaserver/core": ["common/base", "common/wire", "topo"],
    "metaserver/storage": ["common/base", "common/sqlite", "common/wire", "metaserver/core"],
    "metaserver/etcd": ["common", "metaserver/core"],
    "metaserver/shell": ["common", "topo", "metaserver"],
    "peer/core": ["common/base", "common/crypto", "common/wire", "topo"],
    "peer/share": ["common/base", "common/crypto", "peer/core"],
    "peer/storage": ["common/base", "common/sqlite", "common/wire", "peer/core"],
    "peer/transfer/core": ["common/base", "common/crypto", "common/wire", "peer/core"],
    "peer/transfer": ["common", "peer/core", "peer/share"],
    "peer/shell": ["common", "topo", "peer"],
}
CORES = ("topo/", "metaserver/core/", "peer/core/", "peer/transfer/core/")
PRODUCT = ("common/", "topo/", "metaserver/", "peer/")


@dataclasses.dataclass(frozen=True)
class Finding:
    rule: str
    path: str
    line: int
    message: str


class Source:
    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.splitlines()
        self.suffix = pathlib.PurePath(path).suffix
        self.is_code = self.suffix in (".h", ".cpp") and not path.startswith("common/no_io/")
        self.is_test = path.startswith(("tests/", "bench/"))

    def is_in(self, folders):
        return self.path.startswith(tuple(folders))

    @functools.cached_property
    def bare(self):
        """The lines of code without comments and without the content of quotes; includes are kept."""
        return blanked(self.text).splitlines()

    @functools.cached_property
    def words(self):
        return frozenset(re.findall(r"\w+", self.text))

    @functools.cached_property
    def includes(self):
        """(line, name, is it in quotes)"""
        found = []
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match:
                found.append((number, match[2], match[1] == '"'))
        return found


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


def blanked(text):
    def blank(match):
        word = match[0]
        return ("" if word.startswith("/") else '""') + "\n" * word.count("\n")
    return TOKEN.sub(blank, text)


def include_direction(source, files):
    """A folder includes only what LAYERS allows. metaserver and peer never include each other."""
    layer = next((name for name in LAYERS if source.path.startswith(name + "/")), None)
    if not source.is_code:
        return
    if not layer and source.path.startswith(PRODUCT) and not source.path.endswith("/main.cpp"):
        yield 1, "its folder has no line in LAYERS"
    for line, name, quoted in source.includes:
        if name.startswith(PRODUCT) and layer:
            allowed = LAYERS[layer] + [layer]
            if not any(name == one or name.startswith(one + "/") for one in allowed):
                yield line, f"{layer} must not include {name}"
        if quoted and name not in files and not name.endswith(".pb.h"):
            yield line, f"{name} is no path from the repository's root"
        if not quoted and name in files:
            yield line, f"{name} is ours: quotes, not angle brackets"


CORE_INCLUDES = re.compile(
    r"^(Poco/|openssl/|google/protobuf/|sys/|netinet/|arpa/|boost/filesystem|boost/asio)|\.pb\.h$"
    r"|^(unistd|fcntl|netdb|poll|signal|pthread|sqlite3)\.h$|^common/base/guarded\.h$"
    r"|^(thread|mutex|shared_mutex|condition_variable|future|semaphore|atomic|fstream|iostream|filesystem|ctime)$")
CORE_WORDS = re.compile(
    r"\b(?:[Cc]lock|steady_clock|system_clock)::now\b|\brandom_device\b|\bstd::j?thread\b|\bgetenv\b"
    r"|\b(?:fill|random)FromKernel\b|\bthis_thread\b|\btime\((?:nullptr|NULL|0)\)")


def core_without_io(source, _files):
    """A core owns no socket, thread, clock or random generator, and knows nothing of protobuf."""
    if not (source.is_code and source.is_in(CORES)):
        return
    for line, name, _ in source.includes:
        if CORE_INCLUDES.search(name):
            yield line, f"a core must not include {name}"
    for number, line in enumerate(source.bare, 1):
        match = CORE_WORDS.search(line)
        if match:
            yield number, f"{match[0]}: a core is handed the time and a seeded generator, and owns no thread"


UNORDERED = re.compile(r"\bunordered_(?:multi)?(?:map|set)<[^;()]*>\s+(\w+)\s*[;={]")
ITERATION = re.compile(r"\bfor\s*\([^;]*[^:;]:\s*(?:this->)?(\w+)\s*\)|\bfor\s*\([^;]*=\s*(?:this->)?(\w+)\.c?begin\(")


def with_own_header(source, files):
    """The source, and the header of the same name, which declares its class's members and constants."""
    own = files.get(source.path[:-4] + ".h") if source.suffix == ".cpp" else None
    return [source, own] if own else [source]


def unordered_iteration(source, files):
    """A core never iterates an unordered container, so that a simulation repeats exactly."""
    if not (source.is_code and source.is_in(CORES)):
        return
    names = {match[1] for one in with_own_header(source, files) for match in UNORDERED.finditer("\n".join(one.bare))}
    for number, line in enumerate(source.bare, 1):
        for match in ITERATION.finditer(line):
            name = match[1] or match[2]
            if name in names:
                yield number, f"iterates the unordered {name}"


def pragma_once(source, _files):
    if source.is_code and source.suffix == ".h":
        if "#pragma once" not in source.lines:
            yield 1, "a header wants #pragma once"


def header_comment(source, _files):
    """A header opens with what the thing is for, its states, invariants, thread rule and cost."""
    if source.is_code and source.suffix == ".h" and not source.text.startswith("// "):
        yield 1, "a header opens with a comment: what is it for?"


def own_header_first(source, files):
    if source.is_code and source.suffix == ".cpp":
        own = source.path[:-4] + ".h"
        if own in files and (not source.includes or source.includes[0][1] != own):
            yield 1, f"includes {own} first"


def using_namespace(source, _files):
    if source.is_code and source.suffix == ".h":
        for number, line in enumerate(source.bare, 1):
            if re.search(r"\busing namespace\b", line) and "literals" not in line:
                yield number, "a header must not bring a whole namespace along"


def line_length(source, _files):
    code = source.suffix in (".h", ".cpp", ".proto")
    limit = CODE_COLUMNS if code else OTHER_COLUMNS
    if source.path == "LICENSE":
        return
    for number, line in enumerate(source.lines, 1):
        if len(line) > limit and not (source.suffix == ".md" and ("|" in line or "](" in line)):
            yield number, f"{len(line)} columns, more than {limit}"


def white_space(source, _files):
    for number, line in enumerate(source.lines, 1):
        if "\t" in line:
            yield number, "a tab"
        if line != line.rstrip():
            yield number, "white space at the end"
        if "\r" in line:
            yield number, "a carriage return"
    if source.text and not source.text.endswith("\n"):
        yield len(source.lines), "the last line has no end"


def file_name(source, _files):
    if source.suffix in (".h", ".cpp", ".proto", ".py", ".sh") and not source.is_in(["common/no_io/"]):
        if not re.fullmatch(r"[a-z0-9_]+\.[a-z]+", pathlib.PurePath(source.path).name):
            yield 1, "file names are snake_case"


def file_length(source, _files):
    limit = TEST_FILE_LINES if source.is_test else FILE_LINES
    if source.suffix in (".h", ".cpp", ".py") and len(source.lines) > limit:
        yield limit, f"{len(source.lines)} lines, more than {limit}"


CONTAINER = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")


def functions(bare):
    """(first line, lines) of each function's definition, found by its braces: an approximation."""
    stack, head, head_line = [], "", 1
    for number, line in enumerate(bare, 1):
        if line.lstrip().startswith("#"):
            continue
        for letter in line:
            if letter == "{":
                inside = any(kind == "function" for kind, _ in stack)
                container = CONTAINER.search(head) and "(" not in head
                kind = "inner" if inside else "container" if container else "function" if ")" in head else "inner"
                stack.append((kind, head_line))
                head = ""
            elif letter == "}":
                if stack:
                    kind, first = stack.pop()
                    if kind == "function":
                        yield first, number - first + 1
                head = ""
            elif letter == ";" and head.count("(") == head.count(")"):
                head = ""
            else:
                if not head.strip():
                    head_line = number
                head += letter
        head += " "


def function_length(source, _files):
    if source.is_code and not source.is_test:
        for first, lines in functions(source.bare):
            if lines > FUNCTION_LINES:
                yield first, f"a function of {lines} lines, more than {FUNCTION_LINES}"


def leftovers(source, _files):
    """Unfinished work belongs in an issue, not in a comment."""
    if source.is_in(["tests/tidy/"]):
        return
    for number, line in enumerate(source.lines, 1):
        match = re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line)
        if match:
            yield number, f"{match[0]} left in"


def machine_path(source, _files):
    """A path of a developer's machine. `ann` and `you` are examples."""
    if source.is_in(["tests/tidy/"]):
        return
    for number, line in enumerate(source.lines, 1):
        match = re.search(r"(?<![\w.}])/(home|root|work|Users|mnt)/(?!(ann|you)\b)\w+", line)
        if match:
            yield number, f"{match[0]} is a path of one machine"


LIMIT = re.compile(r"\bconstexpr\b[^;=({]*\b(kMax\w*|k\w*(?:Limit|Timeout|Capacity))\s*[={]")
# A constant with a value of its own. One that is computed from limits is bounded by them.
OWN_CONSTANT = re.compile(r"^[^/\n]*\bconstexpr\b[^;=({]*\b(k[A-Z]\w*)\s*[={]([^;]*);([^\n]*)", re.MULTILINE)
COMPARED = re.compile(r"(?:\.|->)size\(\)\s*(?:[<>]=?|==)\s*(?:\w+::)*(k\w+)\b(?!\s*[+\-*/])|"
                      r"\breadFile\([^;]*,\s*(?:\w+::)*(k\w+)\)")
PRESENTED = re.compile(r"k\w*(?:Named|Shown|AtOnce\w*|HeaderBytes)$")


def own_constants(source):
    for match in OWN_CONSTANT.finditer(source.text):
        if "limits::" not in match[2] and "sizeof" not in match[2] and "tuning" not in match[3]:
            yield match[1]


def limits_file(source, files):
    """Every bound on outside input is in limits.h, with its reason.

    A bound is recognised by its name, or because a size is compared to it. Exceptions, which stand beside their code:
    how much is shown or done at once, sizes that a format fixes (both by their names), and lines with "tuning".
    """
    if not (source.is_code and source.is_in(PRODUCT)) or source.path == "common/base/limits.h":
        return
    constants = {name for one in with_own_header(source, files) for name in own_constants(one)}
    for number, line in enumerate(source.bare, 1):
        match = LIMIT.search(line)
        if match:
            yield number, f"{match[1]} is a bound: it belongs into common/base/limits.h"
        for match in COMPARED.finditer(line):
            name = match[1] or match[2]
            if name in constants and not PRESENTED.search(name):
                yield number, f"a size is compared to {name}: a bound belongs into common/base/limits.h"


def no_sleeping(source, _files):
    """A test waits for a condition; unit tests and simulations have a manual clock."""
    if source.is_code and source.is_in(["tests/unit/", "tests/simulation/", "tests/support/"]):
        for number, line in enumerate(source.bare, 1):
            if re.search(r"\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\(", line):
                yield number, "a test that sleeps"


STANDARD_PATHS = re.compile(r"\bstd::filesystem\b|\bboost::filesystem\b")


def one_filesystem(source, _files):
    """Paths are those of common/base/fs.h (Boost's): they do not convert into std::filesystem's."""
    if not source.is_code or source.path == "common/base/fs.h":
        return
    for number, line in enumerate(source.bare, 1):
        match = STANDARD_PATHS.search(line)
        if match:
            yield number, f"{match[0]}: fs:: of common/base/fs.h"
    for line, name, _ in source.includes:
        if name == "filesystem" or name.startswith("boost/filesystem"):
            yield line, f"<{name}>: common/base/fs.h"


ONCE_ONLY = {
    "common/base/thread.cpp": (re.compile(r"\bstd::j?thread\b(?:\s+\w+)?\s*[({]|\bstd::async\b|"
                                          r"\bthreads?_?\.emplace_back\(\s*\["),
                               "a thread that the system may not have: startThread() of common/base/thread.h"),
    "common/net/resolver.cpp": (re.compile(r"\b(getaddrinfo|gethostbyname\w*|hostByName)\s*\("),
                                "a look-up that cannot be interrupted: common/net/resolver.h"),
}


def one_place(source, _files):
    """One file starts threads, and one looks up names: each handles the failures of that."""
    if source.is_code and source.is_in(PRODUCT):
        for number, line in enumerate(source.bare, 1):
            for path, (found, message) in ONCE_ONLY.items():
                if source.path != path and found.search(line):
                    yield number, message


QUOTED = re.compile(r"`([^`\n]+)`")
SOURCE_PATH = re.compile(r"(?:[\w.-]+/)*[\w.*-]+\.(?:h|cpp|proto|py)")
MEMBER = re.compile(r"(?:\w+::)*(\w+)::(\w+)")


def page_names(source, files):
    """Sources, and members written as `Class::member`, that a page of docs/ names in backticks exist."""
    if source.suffix != ".md" or not source.is_in(["docs/"]):
        return
    code = [one for one in files.values() if one.suffix in (".h", ".cpp")]
    for number, line in enumerate(source.lines, 1):
        for quoted in QUOTED.findall(line):
            if SOURCE_PATH.fullmatch(quoted):
                if not any(fnmatch.fnmatch("/" + path, "*/" + quoted) for path in files):
                    yield number, f"{quoted} does not exist"
            match = MEMBER.match(quoted)
            if match and not quoted.startswith(("std::", "boost::", "Poco::")):
                if not any(match[1] in one.words and match[2] in one.words for one in code):
                    yield number, f"no source has both {match[1]} and {match[2]}"


RULES = {
    "include-direction": include_direction,
    "core-without-io": core_without_io,
    "unordered-iteration": unordered_iteration,
    "pragma-once": pragma_once,
    "header-comment": header_comment,
    "own-header-first": own_header_first,
    "using-namespace": using_namespace,
    "line-length": line_length,
    "white-space": white_space,
    "file-name": file_name,
    "file-length": file_length,
    "function-length": function_length,
    "leftovers": leftovers,
    "machine-path": machine_path,
    "limits-file": limits_file,
    "no-sleeping": no_sleeping,
    "one-place": one_place,
    "one-filesystem": one_filesystem,
    "page-names": page_names,
}
