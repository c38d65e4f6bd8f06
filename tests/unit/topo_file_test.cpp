#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "common/base/limits.h"
#include "tests/unit/topo_support.h"
#include "topo/dot.h"
#include "topo/text_file.h"

using namespace espalier;
using namespace espalier::topo;

namespace {

// A folder of its own, gone at the end with the files that a test names.
class Folder {
 public:
  Folder() {
    std::string name = "/tmp/espalier-topo-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    for (const auto& name : {"topo.txt", "topo.txt.new", "other"}) {
      if (::unlink((*this)[name].c_str()) != 0) ::rmdir((*this)[name].c_str());
    }
    CHECK_MESSAGE(::rmdir(path_.c_str()) == 0, "a file is left over");
  }
  std::string operator[](std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

std::string whyNot(std::string_view text) {
  const auto lines = parse(text);
  REQUIRE_FALSE(lines.ok());
  CHECK(lines.error().code == ErrorCode::protocol);
  return lines.error().message;
}

std::string whyNoTree(std::string_view text, unsigned maxLinks) {
  const auto lines = parse(text);
  REQUIRE(lines.ok());
  const auto tree = toTree(*lines, maxLinks);
  REQUIRE_FALSE(tree.ok());
  CHECK(tree.error().code == ErrorCode::protocol);
  return tree.error().message;
}

}  // namespace

TEST_CASE("topo.txt has two spaces after the colon, one between neighbours, none for a lone peer") {
  const std::vector<TopoLine> lines = {{peer("s1"), {peer("s2"), peer("größe")}},
                                       {peer("s2"), {peer("s1")}},
                                       {peer("größe"), {peer("s1")}},
                                       {peer("s4"), {}}};
  const std::string text = "s1:  s2 größe\ns2:  s1\ngröße:  s1\ns4:\n";
  CHECK(format(lines) == text);
  CHECK(parse(text).value() == lines);
  CHECK(parse("").value().empty());
  CHECK(format({}).empty());
}

TEST_CASE("what a person or the original wrote is read, too") {
  CHECK(format(parse("s1: s2   s3 \ns2:s1\ns3:  s1").value()) == "s1:  s2 s3\ns2:  s1\ns3:  s1\n");
}

TEST_CASE("what is no topo.txt is refused with the number of the line") {
  CHECK(whyNot("s1:\ns2\n") == "line 2: a ':' after the peer's id is missing");
  CHECK(whyNot("\n") == "line 1: a ':' after the peer's id is missing");
  CHECK(whyNot(":  s1\n") == "line 1: \"\" is no peer id: it is empty");
  CHECK(whyNot("s1:  s2:\n") == "line 1: \"s2:\" is no peer id: it has a ':' or a '/'");
  CHECK(whyNot("s1:\r\n") ==
        "line 1: \"\\r\" is no peer id: it has a space or a control character");
  CHECK(whyNot("s1:\n\ts2:\n").starts_with("line 2: \"\\ts2\" is no peer id"));
  CHECK(whyNot("s1:  s1\n") == "line 1: a peer linked to itself");
  CHECK(whyNot("s1:  s2 s2\n") == "line 1: s2 is there twice");
  CHECK(whyNot("s1:\ns2:\ns1:\n") == "line 3: s1 has a line already");
  CHECK_FALSE(parse(std::string("s1:  s\0002\n", 10)).ok());

  std::string many = "s:";
  for (unsigned i = 0; i < limits::kMaxLinks; ++i) many += " n" + std::to_string(i);
  CHECK(parse(many).ok());
  CHECK(whyNot(many + " one") == "line 1: more than 64 neighbours");
}

TEST_CASE("lines that are no forest make no tree") {
  CHECK(whyNoTree("s1:  s2\n", 2) == "line 1: s2 has no line");
  CHECK(whyNoTree("s1:  s2\ns2:\n", 2) == "s1 is linked to s2, which does not know");
  CHECK(whyNoTree("s1:\ns2:  s1\n", 2) == "s2 is linked to s1, which does not know");
  CHECK(whyNoTree("a:  b c\nb:  a c\nc:  a b\n", 2) == "a cycle at b and c");
  CHECK(whyNoTree("a:  b c d\nb:  a\nc:  a\nd:  a\n", 2) == "a has 3 links, more than 2");
}

TEST_CASE("lines that are a forest keep their order of linking in the tree") {
  const auto text =
      "s1:  s3 s2\n"
      "s2:  s4 s1\n"
      "s3:  s1\n"
      "s4:  s2\n"
      "t1:\n";
  const Tree tree = treeOf(text, 3);
  CHECK(textOf(tree) == text);
  CHECK(namesOf(tree, tree.roots()) == "s1 t1");
  CHECK(tree.member(at(tree, "s4")).order == JoinOrder{4});
  checkSound(tree);
}

TEST_CASE("a file is replaced as a whole") {
  const Folder folder;
  const std::string path = folder["topo.txt"];
  REQUIRE(writeAtomically(path, "old\n").ok());
  const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(writeAtomically(path, std::string(100'000, 'x')).ok());

  std::array<char, 16> seen{};
  CHECK(::read(reader, seen.data(), seen.size()) == 4);  // who opened it before reads the old one
  ::close(reader);
  CHECK(readFile(path).value() == std::string(100'000, 'x'));
  CHECK(::access(folder["topo.txt.new"].c_str(), F_OK) != 0);
  REQUIRE(writeAtomically(path, "").ok());
  CHECK(readFile(path).value().empty());
}

TEST_CASE("a symbolic link is replaced, not followed") {
  const Folder folder;
  REQUIRE(writeAtomically(folder["other"], "precious").ok());
  REQUIRE(::symlink("other", folder["topo.txt"].c_str()) == 0);
  REQUIRE(::symlink("other", folder["topo.txt.new"].c_str()) == 0);

  REQUIRE(writeAtomically(folder["topo.txt"], "s1:\n").ok());

  CHECK(readFile(folder["other"]).value() == "precious");
  CHECK(readFile(folder["topo.txt"]).value() == "s1:\n");
}

TEST_CASE("a file that cannot be written leaves the old one, and says why") {
  const Folder folder;
  CHECK(writeAtomically(folder["none/topo.txt"], "x").error() ==
        Error{ErrorCode::io,
              "cannot create " + folder["none/topo.txt.new"] + ": No such file or directory"});
  CHECK(writeAtomically("/dev/null/topo.txt", "x").error().message ==
        "cannot replace /dev/null/topo.txt.new: Not a directory");

  REQUIRE(::mkdir(folder["topo.txt"].c_str(), 0700) == 0);
  CHECK(writeAtomically(folder["topo.txt"], "x").error().message ==
        "cannot replace " + folder["topo.txt"] + ": Is a directory");
  CHECK(::access(folder["topo.txt.new"].c_str(), F_OK) != 0);
}

TEST_CASE("a disk that is full while writing leaves the old file and nothing else") {
  const Folder folder;
  const std::string path = folder["topo.txt"];
  REQUIRE(writeAtomically(path, "old\n").ok());
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const struct rlimit small { 1000, before.rlim_max };
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);

  const auto written = writeAtomically(path, std::string(2000, 'x'));

  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  REQUIRE_FALSE(written.ok());
  CHECK(written.error() == Error{ErrorCode::io, "cannot write " + path + ".new: File too large"});
  CHECK(readFile(path).value() == "old\n");
  CHECK(::access(folder["topo.txt.new"].c_str(), F_OK) != 0);
}

TEST_CASE("only a regular file is read") {
  const Folder folder;
  CHECK(readFile(folder["topo.txt"]).error().message ==
        "cannot open " + folder["topo.txt"] + ": No such file or directory");
  REQUIRE(::mkfifo(folder["other"].c_str(), 0600) == 0);
  CHECK(readFile(folder["other"]).error().message == folder["other"] + " is no regular file");
  CHECK(readFile("/tmp").error().message == "/tmp is no regular file");
}

TEST_CASE("Graphviz gets each link once, and ids as they are") {
  CHECK(toDot(parse("s1:  s2 a\"\\&\ns2:  s1\na\"\\&:  s1\nlone:  ghost\n").value()) ==
        "graph G {\n"
        "node [shape=box];\n"
        "0[label=\"s1\"];\n"
        "1[label=\"s2\"];\n"
        "2[label=\"a\\\"\\\\&amp;\"];\n"
        "3[label=\"lone\"];\n"
        "4[label=\"ghost\", style=dashed];\n"
        "0--1 ;\n"
        "0--2 ;\n"
        "3--4 ;\n"
        "}\n");
  CHECK(toDot({}) == "graph G {\nnode [shape=box];\n}\n");
}
