#include "common/base/state_folder.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/state_version.h"

using namespace espalier;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = "/tmp/espalier-state-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  // A folder in it with one file.
  std::string with(std::string_view folder, std::string_view file, std::string_view bytes,
                   mode_t mode = 0600) const {
    fs::create_directory(*this / folder);
    const std::string path = *this / folder + "/" + std::string(file);
    std::ofstream(path) << bytes;
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    return *this / folder;
  }

 private:
  std::string path_;
};

unsigned modeOf(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777u;
}

const std::string kMarked = "/espalier-state";

}  // namespace

TEST_CASE("a state folder is made below the current folder and the one above it") {
  const Folder folder;
  fs::create_directory(folder / "a");
  const fs::path before = fs::current_path();
  fs::current_path(folder / "a");
  for (const std::string path : {"./here", "../above", "plain", "./b/../c/./deep/"}) {
    CHECK(openStateFolder(path).ok());
    CHECK(modeOf(path) == 0700);
  }
  fs::current_path(before);
}

TEST_CASE("a state folder is made for its owner only, with its marker") {
  const Folder folder;
  const std::string path = folder / "a/b/state/";
  const auto opened = openStateFolder(path);
  REQUIRE(opened.ok());
  CHECK(modeOf(path) == 0700);
  CHECK(readFile(path + kMarked, 100).value() == "espalier-state 1\n");
  CHECK(isStateFolder(opened->get()));
  CHECK(isStateFolder(path));
  CHECK_FALSE(isStateFolder(folder / "a/b"));
  // Nothing is left of how it was made.
  CHECK(std::distance(fs::directory_iterator(folder / "a/b"), {}) == 1);
  CHECK(openStateFolder(path).ok());
}

TEST_CASE("a state folder of an older version is known by its files, and gets a marker") {
  const Folder folder;
  const std::string key(32, 'a');
  for (const auto& path : {folder.with("peer", "instance.key", key + "\n"),
                           folder.with("started", "control.lock", "")}) {
    CAPTURE(path);
    CHECK(isStateFolder(path));
    CHECK(findStateFolder(path).ok());
    CHECK(::access((path + kMarked).c_str(), F_OK) != 0);  // a client changes nothing
    REQUIRE(openStateFolder(path).ok());
    CHECK(readFile(path + kMarked, 100).value() == "espalier-state 1\n");
  }
}

TEST_CASE("a user's folder with files of similar names is no state folder") {
  const Folder folder;
  // A stranger could have chosen its name and its content.
  CHECK_FALSE(isStateFolder(folder.with("a", "network", "espalier-network 1 aa 1\n")));
  CHECK_FALSE(isStateFolder(folder.with("b", "instance.key", "-----BEGIN PRIVATE KEY-----\n")));
  CHECK_FALSE(isStateFolder(folder.with("c", "control.lock", "12345\n")));
  CHECK_FALSE(isStateFolder(folder.with("d", "index", "ESPINDX1")));
  // As files lie that were fetched.
  CHECK_FALSE(isStateFolder(folder.with("g", "control.lock", "", 0644)));
  CHECK_FALSE(isStateFolder(folder.with("h", "instance.key", std::string(33, 'a'), 0664)));
  fs::create_directories(folder / "e/espalier-state");
  CHECK_FALSE(isStateFolder(folder / "e"));
  fs::create_directory(folder / "f");
  fs::create_symlink("/etc/hostname", folder / "f/espalier-state");
  CHECK_FALSE(isStateFolder(folder / "f"));
  CHECK_FALSE(isStateFolder(folder / "nothing"));
}

TEST_CASE("a path inside a state folder is recognised by the folders above it") {
  const Folder folder;
  const std::string state = folder.with("state", "espalier-state", "espalier-state 1\n");
  CHECK(isInStateFolder(state));
  CHECK(isInStateFolder(state + "/incoming/deep"));
  CHECK(isInStateFolder(state + "/"));
  CHECK_FALSE(isInStateFolder(folder / "statement"));
}

TEST_CASE("a state folder that others may write to is refused") {
  const Folder folder;
  for (const mode_t mode : {0777u, 01777u, 0775u, 0702u}) {
    const std::string path = folder / "state";
    fs::create_directory(path);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    const auto opened = openStateFolder(path);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code == ErrorCode::configuration);
    CHECK(opened.error().message.find("can be written by others") != std::string::npos);
    CHECK(::access((path + kMarked).c_str(), F_OK) != 0);
    REQUIRE(::chmod(path.c_str(), 0755) == 0);
    CHECK(openStateFolder(path).ok());
    fs::remove_all(path);
  }
}

TEST_CASE("a state folder of another user is refused, also behind a symbolic link") {
  if (::geteuid() != 0) return;  // Only root can give a folder to another user.
  const Folder folder;
  fs::create_directory(folder / "theirs");
  REQUIRE(::chown((folder / "theirs").c_str(), 12'345, 12'345) == 0);
  fs::create_directory_symlink(folder / "theirs", folder / "link");
  for (const auto& path : {folder / "theirs", folder / "link"}) {
    for (const auto& opened : {openStateFolder(path), findStateFolder(path)}) {
      REQUIRE_FALSE(opened.ok());
      CHECK(opened.error().code == ErrorCode::configuration);
      CHECK(opened.error().message.find("another user (uid 12345") != std::string::npos);
    }
  }
  // A link to a folder of one's own is one's own.
  fs::create_directory(folder / "mine");
  fs::create_directory_symlink(folder / "mine", folder / "way");
  CHECK(openStateFolder(folder / "way").ok());
}

TEST_CASE("a state folder of a newer version is refused and stays as it is") {
  const Folder folder;
  const std::string line = "espalier-state 2 and more\n";
  const std::string path = folder.with("state", "espalier-state", line);
  for (const auto& opened : {openStateFolder(path), findStateFolder(path)}) {
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code == ErrorCode::configuration);
    CHECK(opened.error().message.find("newer version") != std::string::npos);
  }
  CHECK(readFile(path + kMarked, 100).value() == line);
}

TEST_CASE("a damaged marker is an error, an empty one is written again") {
  const Folder folder;
  for (const std::string line : {"espalier-state\n", "espalier-state x\n", "hello", "\n"}) {
    CAPTURE(line);
    const auto opened = openStateFolder(folder.with("damaged", "espalier-state", line));
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code == ErrorCode::configuration);
    CHECK(opened.error().message.find("is damaged") != std::string::npos);
  }
  const std::string empty = folder.with("empty", "espalier-state", "");
  CHECK(isStateFolder(empty));
  REQUIRE(openStateFolder(empty).ok());
  CHECK(readFile(empty + kMarked, 100).value() == "espalier-state 1\n");
}

TEST_CASE("a missing state folder, or a path that is not a folder, is an error") {
  const Folder folder;
  CHECK(findStateFolder(folder / "none").error().code == ErrorCode::failed);
  CHECK(::access((folder / "none").c_str(), F_OK) != 0);
  std::ofstream(folder / "file") << "x";
  CHECK(openStateFolder(folder / "file").error().code == ErrorCode::io);
  CHECK(openStateFolder(folder / "file/state").error().code == ErrorCode::io);
  fs::create_symlink(folder / "none", folder / "dangling");
  CHECK(openStateFolder(folder / "dangling").error().code == ErrorCode::io);
}

TEST_CASE("the version of a file of state is read from its beginning") {
  CHECK(textVersion("espalier-network 1 aa", "espalier-network") == 1);
  CHECK(textVersion("espalier-network 12\n", "espalier-network") == 12);
  CHECK(textVersion("espalier-network 99999999999", "espalier-network") == ~0u);
  for (const char* text : {"espalier-network", "espalier-network ", "espalier-network x",
                           "espalier-network 0", "espalier-network 1x", "espalier-networks 1",
                           "espalier-network  1", "espalier-network -1", ""}) {
    CAPTURE(text);
    CHECK_FALSE(textVersion(text, "espalier-network").has_value());
  }
  CHECK(binaryVersion("ESPINDX1\x39", "ESPINDX") == 1);
  CHECK(binaryVersion("ESPINDXA", "ESPINDX") == 10);
  for (const char* bytes : {"ESPINDX", "ESPINDX0", "ESPINDXa", "ESP", ""}) {
    CAPTURE(bytes);
    CHECK_FALSE(binaryVersion(bytes, "ESPINDX").has_value());
  }
  CHECK(checkStateVersion("x/index", 1, 1).ok());
  const auto newer = checkStateVersion("x/\nindex", 3, 2);
  CHECK(newer.error().code == ErrorCode::configuration);
  CHECK(newer.error().message.starts_with("x/\\nindex was written by a newer version"));
}
