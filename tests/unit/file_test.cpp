#include "common/base/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

using namespace espalier;

namespace {

// A folder of its own, gone at the end with the files that a test names.
class Folder {
 public:
  Folder() {
    std::string name = "/tmp/espalier-file-XXXXXX";
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

Result<void> replace(const std::string& path, std::string_view bytes) {
  return replaceFile(path, bytes, Durability::soft, kPublic);
}

}  // namespace

TEST_CASE("a file is replaced as a whole") {
  const Folder folder;
  const std::string path = folder["topo.txt"];
  REQUIRE(replace(path, "old\n").ok());
  const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(replace(path, std::string(100'000, 'x')).ok());

  std::array<char, 16> seen{};
  CHECK(::read(reader, seen.data(), seen.size()) == 4);  // who opened it before reads the old one
  ::close(reader);
  CHECK(readFile(path, 1 << 20).value() == std::string(100'000, 'x'));
  CHECK(::access(folder["topo.txt.new"].c_str(), F_OK) != 0);
  REQUIRE(replace(path, "").ok());
  CHECK(readFile(path, 1 << 20).value().empty());
}

TEST_CASE("a symbolic link is replaced, not followed") {
  const Folder folder;
  REQUIRE(replace(folder["other"], "precious").ok());
  REQUIRE(::symlink("other", folder["topo.txt"].c_str()) == 0);
  REQUIRE(::symlink("other", folder["topo.txt.new"].c_str()) == 0);

  REQUIRE(replace(folder["topo.txt"], "s1:\n").ok());

  CHECK(readFile(folder["other"], 1 << 20).value() == "precious");
  CHECK(readFile(folder["topo.txt"], 1 << 20).value() == "s1:\n");
}

TEST_CASE("a file that cannot be written leaves the old one, and says why") {
  const Folder folder;
  CHECK(replace(folder["none/topo.txt"], "x").error() ==
        Error{ErrorCode::io,
              "cannot create " + folder["none/topo.txt.new"] + ": No such file or directory"});
  CHECK(replace("/dev/null/topo.txt", "x").error().message ==
        "cannot replace /dev/null/topo.txt.new: Not a directory");

  REQUIRE(::mkdir(folder["topo.txt"].c_str(), 0700) == 0);
  CHECK(replace(folder["topo.txt"], "x").error().message ==
        "cannot replace " + folder["topo.txt"] + ": Is a directory");
  CHECK(::access(folder["topo.txt.new"].c_str(), F_OK) != 0);
}

TEST_CASE("a disk that is full while writing leaves the old file and nothing else") {
  const Folder folder;
  const std::string path = folder["topo.txt"];
  REQUIRE(replace(path, "old\n").ok());
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const struct rlimit small { 1000, before.rlim_max };
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);

  const auto written = replace(path, std::string(2000, 'x'));

  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  REQUIRE_FALSE(written.ok());
  CHECK(written.error() == Error{ErrorCode::io, "cannot write " + path + ".new: File too large"});
  CHECK(readFile(path, 1 << 20).value() == "old\n");
  CHECK(::access(folder["topo.txt.new"].c_str(), F_OK) != 0);
}

TEST_CASE("only a regular file is read") {
  const Folder folder;
  CHECK(readFile(folder["topo.txt"], 1 << 20).error().message ==
        "cannot open " + folder["topo.txt"] + ": No such file or directory");
  REQUIRE(::mkfifo(folder["other"].c_str(), 0600) == 0);
  CHECK(readFile(folder["other"], 1 << 20).error().message ==
        folder["other"] + " is no regular file");
  CHECK(readFile("/tmp", 1 << 20).error().message == "/tmp is no regular file");
}

TEST_CASE("a file that is not there is told apart, and one that is too large is not read") {
  const Folder folder;
  CHECK(readFile(folder["topo.txt"], 10).error().code == ErrorCode::failed);
  CHECK(readFile(folder["topo.txt"] + "/x", 10).error().code == ErrorCode::failed);
  REQUIRE(replace(folder["topo.txt"], "0123456789"));
  CHECK(readFile(folder["topo.txt"], 10).value() == "0123456789");
  CHECK(readFile(folder["topo.txt"], 9).error() ==
        Error{ErrorCode::io, folder["topo.txt"] + " is larger than 9 B"});
}

TEST_CASE("a durable file has the mode that was asked for, also in the working folder") {
  const Folder folder;
  REQUIRE(replaceFile(folder["other"], "key", Durability::durable, kPrivate));
  struct stat status {};
  REQUIRE(::stat(folder["other"].c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(readFile(folder["other"], 10).value() == "key");

  const std::string before = std::string(folder[""]);
  char* const here = ::getcwd(nullptr, 0);
  REQUIRE(::chdir(before.c_str()) == 0);
  CHECK(replaceFile("topo.txt", "s1:\n", Durability::durable, kPublic).ok());
  CHECK(::chdir(here) == 0);
  std::free(here);
  CHECK(readFile(folder["topo.txt"], 10).value() == "s1:\n");
}
