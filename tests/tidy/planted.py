"""Violations for the self-test: (path, content, the rules it breaks). The last ones break none."""

HEADER = "// What it is for.\n#pragma once\n\n"

# Paths that exist beside the planted file.
OTHERS = dict.fromkeys(["common/base/result.h", "common/net/loop.h", "common/wire/frame.h", "common/wire/registry.h",
                        "metaserver/core/registry.h", "peer/core/place.h", "topo/forest.h"], "")
OTHERS["peer/core/links.h"] = "struct Links {\n  std::unordered_map<int,\n                     int> links_;\n};\n"
OTHERS["peer/shell/inbox.h"] = "static constexpr std::size_t kWaiting = 64;\n"

LONG_FUNCTION = "int f(int x) {\n" + "  x += 1;\n" * 70 + "  return x;\n}\n"
SHORT_FUNCTIONS = "".join(f"int f{i}(int x) {{\n  if (x) {{\n    return 1;\n  }}\n  return x;\n}}\n" for i in range(40))


def including(name):
    return HEADER + f'#include "{name}"\n'


FILES = [
    # Against the direction.
    ("common/base/low.h", including("common/net/loop.h"), ["include-direction"]),
    ("common/net/low.h", including("common/wire/registry.h"), ["include-direction"]),
    ("metaserver/shell/a.cpp", '#include "peer/core/place.h"\n', ["include-direction"]),
    ("peer/shell/a.cpp", '#include "metaserver/core/registry.h"\n', ["include-direction"]),
    ("topo/a.cpp", '#include "peer/core/place.h"\n', ["include-direction"]),
    ("peer/core/a.cpp", '#include "common/net/loop.h"\n', ["include-direction"]),
    ("peer/shell/b.cpp", '#include "place.h"\n', ["include-direction"]),
    ("common/mail/page.h", "// The page.\n#pragma once\n", ["include-direction"]),
    ("peer/shell/c.cpp", "#include <topo/forest.h>\n", ["include-direction"]),
    # I/O in a core.
    ("topo/b.cpp", "#include <Poco/Net/Socket.h>\n", ["core-without-io"]),
    ("metaserver/storage/a.cpp", '#include "topo/forest.h"\n', ["include-direction"]),
    ("peer/core/b.cpp", "#include <thread>\n", ["core-without-io"]),
    ("metaserver/core/d.cpp", "#include <sqlite3.h>\n", ["core-without-io"]),
    ("peer/core/c.cpp", '#include "registry.pb.h"\n', ["core-without-io"]),
    ("metaserver/core/b.cpp", "TimePoint f() { return Clock::now(); }\n", ["core-without-io"]),
    ("metaserver/core/c.cpp", "auto seed = std::random_device()();\n", ["core-without-io"]),
    ("peer/core/d.cpp", "std::unordered_map<int, int> links_;\nvoid f() {\n  for (auto& one : links_) g(one);\n}\n",
     ["unordered-iteration"]),
    ("peer/core/links.cpp", '#include "peer/core/links.h"\n\nvoid f() {\n  for (auto& one : links_) g(one);\n}\n',
     ["unordered-iteration"]),
    ("peer/core/j.cpp", "std::unordered_set<int> known;\nvoid f() {\n  for (auto i = known.begin(); ok; ++i) g();\n}\n",
     ["unordered-iteration"]),
    # Headers.
    ("topo/c.h", "// Something.\nint f();\n", ["pragma-once"]),
    ("topo/d.h", "#pragma once\n\nint f();\n", ["header-comment"]),
    ("topo/e.h", HEADER + "using namespace espalier;\n", ["using-namespace"]),
    ("topo/forest.cpp", '#include <vector>\n\n#include "topo/forest.h"\n', ["own-header-first"]),
    # Shape.
    ("topo/f.cpp", "// " + "x" * 98 + "\n", ["line-length"]),
    ("scripts/f.py", "# " + "x" * 119 + "\n", ["line-length"]),
    ("topo/g.cpp", "int\tf();\n", ["white-space"]),
    ("topo/h.cpp", "int f(); \n", ["white-space"]),
    ("topo/i.cpp", "int f();", ["white-space"]),
    ("topo/TheTree.cpp", "int f();\n", ["file-name"]),
    ("topo/j.cpp", "int f();\n" * 401, ["file-length"]),
    ("topo/k.cpp", LONG_FUNCTION, ["function-length"]),
    ("topo/l.cpp", "namespace espalier {\n\n" + LONG_FUNCTION + "\n}  // namespace espalier\n", ["function-length"]),
    ("topo/m.cpp", "class A {\n" + LONG_FUNCTION + "};\n", ["function-length"]),
    # Left behind.
    ("peer/core/e.cpp", "// TODO: later\n", ["leftovers"]),
    ("README.md", "Look into /home/joe/espalier.\n", ["machine-path"]),
    ("peer/shell/d.cpp", "constexpr int kMaxThings = 5;\n", ["limits-file"]),
    ("peer/core/f.h", HEADER + "inline constexpr auto kDialTimeout = 5s;\n", ["limits-file"]),
    ("peer/shell/inbox.cpp", '#include "peer/shell/inbox.h"\n\nbool f() { return inbox_.size() < kWaiting; }\n',
     ["limits-file"]),
    ("common/base/k.cpp", "constexpr int kBytes = 9;\nauto f() { return readFile(path, kBytes); }\n", ["limits-file"]),
    ("tests/unit/a_test.cpp", "void f() { std::this_thread::sleep_for(1s); }\n", ["no-sleeping"]),
    ("peer/shell/g.cpp", "void f() { thread_ = std::jthread([] {}); }\n", ["one-place"]),
    ("peer/shell/h.cpp", "void f() { threads.emplace_back([] {}); }\n", ["one-place"]),
    ("common/net/i.cpp", "int f() { return ::getaddrinfo(a, b, c, d); }\n", ["one-place"]),
    ("peer/shell/m.cpp", "#include <filesystem>\n", ["one-filesystem"]),
    ("tests/unit/c_test.cpp", "auto f() { return std::filesystem::path(); }\n", ["one-filesystem"]),
    ("docs/a.md", "See `topo/gone.h`.\n", ["page-names"]),
    ("docs/b.md", "The rule is `Gone::member`.\n", ["page-names"]),
    # Allowed, although similar to the above.
    ("peer/core/g.cpp", '// Clock::now() is what the shell calls\nauto text = "std::thread";\n', []),
    ("peer/core/h.cpp", "std::map<int, int> links_;\nvoid f() {\n  for (auto& one : links_) g(one);\n}\n", []),
    ("peer/shell/e.cpp", '#include <thread>\n\n#include "peer/core/place.h"\n#include "topo/forest.h"\n', []),
    ("peer/shell/i.h", HEADER + "std::jthread thread_;\nstd::vector<std::jthread> threads_;\n", []),
    ("common/net/other.h", including("common/wire/frame.h"), []),
    ("tests/unit/b_test.cpp", '#include "peer/core/place.h"\n#include "metaserver/core/registry.h"\n', []),
    ("topo/n.cpp", "namespace espalier {\n" + SHORT_FUNCTIONS + "}\n", []),
    ("peer/shell/j.cpp", "constexpr int kMany = 2 * limits::kPeers;\nbool f() { return all.size() > kMany; }\n", []),
    ("peer/shell/k.cpp", "constexpr int kMany = 9;  // tuning\nbool f() { return all.size() > kMany; }\n", []),
    ("peer/shell/l.cpp", "constexpr int kPagesShown = 9;\nbool f() { return all.size() > kPagesShown; }\n", []),
    ("docs/c.md", "See `topo/forest.h`, `forest.h`, `core/li*.h`, `Links::links_(x)`, `std::jthread`.\n", []),
    ("common/base/limits.h", HEADER + "inline constexpr auto kDialTimeout = 5s;\n", []),
]
