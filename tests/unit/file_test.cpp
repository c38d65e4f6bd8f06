#include "common/base/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "common/base/home.h"

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
  CHECK(::read(reader, seen.data(), seen.size()) == 4);  // an open descriptor reads the old file
  ::close(reader);
  CHECK(readFile(path, 1 << 20).value() == std::string(100'000, 'x'));
  CHECK(::access(folder["topo.txt.new"].c_str(), F_OK) != 0);
  REQUIRE(replace(path, "").ok());
  CHECK(readFile(path, 1 << 20).value().empty());
}

TEST_CASE("a symbolic link in a program's own folder is replaced, not followed") {
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
        "cannot replace " + folder["topo.txt"] + ": it is a folder");
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

TEST_CASE("a file that is not a regular one is never replaced") {
  const Folder folder;
  REQUIRE(::mkfifo(folder["other"].c_str(), 0600) == 0);
  CHECK(replace(folder["other"], "x").error().message ==
        "cannot replace " + folder["other"] + ": it is a named pipe");
  CHECK(replace("/dev/null", "x").error().message == "cannot replace /dev/null: it is a device");
  struct stat status {};
  REQUIRE(::stat("/dev/null", &status) == 0);
  CHECK(S_ISCHR(status.st_mode));
}

TEST_CASE("an output file behind symbolic links is replaced, and the links stay") {
  const Folder folder;
  REQUIRE(::symlink("topo.txt.new", folder["topo.txt"].c_str()) == 0);
  REQUIRE(::symlink(folder["other"].c_str(), folder["topo.txt.new"].c_str()) == 0);
  for (const std::string text : {"made", "replaced"}) {  // the links lead nowhere at first
    REQUIRE(writeOutputFile(folder["topo.txt"], text, kPublic).ok());
    CHECK(readFile(folder["other"], 100).value() == text);
  }
  struct stat status {};
  REQUIRE(::lstat(folder["topo.txt"].c_str(), &status) == 0);
  CHECK(S_ISLNK(status.st_mode));
  REQUIRE(::unlink(folder["topo.txt.new"].c_str()) == 0);
  REQUIRE(::symlink("topo.txt", folder["topo.txt.new"].c_str()) == 0);
  CHECK(writeOutputFile(folder["topo.txt"], "x", kPublic)
            .error()
            .message.ends_with("Too many levels of symbolic links"));
}

TEST_CASE("an output file that is a device or a pipe is written into, and never waited for") {
  const Folder folder;
  CHECK(writeOutputFile("/dev/null", "x", kPublic).ok());
  CHECK(writeOutputFile("/dev/full", "x", kPublic).error().message ==
        "cannot write into /dev/full: No space left on device");
  REQUIRE(::mkfifo(folder["other"].c_str(), 0600) == 0);
  CHECK(writeOutputFile(folder["other"], "x", kPublic).error().message ==
        "nobody reads from the pipe " + folder["other"]);
  const int reader = ::open(folder["other"].c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  CHECK(writeOutputFile(folder["other"], "s1:\n", kPublic).ok());
  std::array<char, 16> seen{};
  CHECK(::read(reader, seen.data(), seen.size()) == 4);
  CHECK(writeOutputFile(folder["other"], std::string(1 << 20, 'x'), kPublic).error().message ==
        "cannot write into " + folder["other"] + ": Connection timed out");
  ::close(reader);
}

TEST_CASE("an output file that is open already is written into, whatever its name") {
  const Folder folder;
  const int opened = ::open(folder["other"].c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(::symlink(("/proc/self/fd/" + std::to_string(opened)).c_str(),
                    folder["topo.txt"].c_str()) == 0);
  for (int i = 0; i < 2; ++i) CHECK(writeOutputFile(folder["topo.txt"], "s1:\n", kPublic).ok());
  ::close(opened);
  CHECK(readFile(folder["other"], 100).value() == "s1:\ns1:\n");
}

TEST_CASE("an output file that can never be written is refused before anything starts") {
  const Folder folder;
  CHECK(checkOutputFile("/tmp").error() ==
        Error{ErrorCode::configuration, "cannot write /tmp: it is a folder"});
  CHECK(checkOutputFile("/dev/null").ok());
  CHECK(checkOutputFile(folder["topo.txt"]).ok());
  REQUIRE(::symlink("/tmp", folder["other"].c_str()) == 0);
  CHECK(checkOutputFile(folder["other"]).error().code == ErrorCode::configuration);
}

TEST_CASE("a leading ~/ is the home folder, and ~name an error") {
  CHECK(expandHome("~/x", "/home/ann").value() == "/home/ann/x");
  CHECK(expandHome("~", "/home/ann/").value() == "/home/ann");
  CHECK(expandHome("~/x", "/").value() == "/x");
  CHECK(expandHome("~", "/").value() == "/");
  for (const auto* plain : {"", "./~", "a~/b", "/~/x"}) {
    CHECK(expandHome(plain, std::nullopt).value() == plain);
  }
  CHECK(expandHome("~bob/x", "/home/ann").error() ==
        Error{ErrorCode::usage,
              "~bob/x: only ~/ stands for a home folder; ./~bob/x names what begins with a ~"});
  CHECK(expandHome("~/x", std::nullopt).error().message ==
        "~/x: HOME is not set, so ~ stands for no folder");
  for (const auto* home : {"", "home"}) CHECK_FALSE(expandHome("~/x", home).ok());
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

TEST_CASE("a missing file has its own error, and a file that is too large is not read") {
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
