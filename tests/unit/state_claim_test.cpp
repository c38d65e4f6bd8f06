#include "common/command/state_claim.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include "common/base/fs.h"
#include "common/base/state_folder.h"
#include "common/command/control_channel.h"

using namespace espalier;
using namespace espalier::command;

namespace {

using Found = StateClaim::Found;

class Folder {
 public:
  Folder() {
    std::string name = "/tmp/espalier-claim-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

bool answers(const std::string& path) {
  const auto folder = findStateFolder(path);
  return folder && connectControl(folder->get()).ok();
}

bool isRefused(const std::string& path) {
  const auto second = StateClaim::take(path);
  return !second && second.error().code == ErrorCode::refused;
}

}  // namespace

TEST_CASE("a state folder has one program at a time") {
  const Folder folder;
  const std::string state = folder / "above/state/";
  {
    auto claim = StateClaim::take(state);
    REQUIRE(claim.ok());
    CHECK(claim->check().found == Found::whole);
    CHECK(answers(state));
    CHECK(isRefused(state));
    CHECK(StateClaim::take(folder / "above/other").ok());  // another name beside it is free
    claim->hide();
    CHECK_FALSE(answers(state));
    CHECK(isRefused(state));
  }
  CHECK(StateClaim::take(state).ok());
}

TEST_CASE("a state folder that was removed or moved stays claimed, and is made again") {
  const Folder folder;
  const std::string state = folder / "state";
  auto claim = StateClaim::take(state);
  REQUIRE(claim.ok());
  for (const bool moved : {false, true}) {
    moved ? fs::rename(state, folder / "moved") : static_cast<void>(fs::remove_all(state));
    CHECK(isRefused(state));
    CHECK_FALSE(fs::exists(state));  // a refused program changes nothing
    CHECK(claim->check().found == Found::restored);
    CHECK(claim->check().found == Found::whole);
    CHECK(answers(state));
    CHECK(isRefused(state));
  }
  // The former folder replaces the new one.
  fs::remove_all(state);
  fs::rename(folder / "moved", state);
  CHECK(claim->check().found == Found::restored);
  CHECK(answers(state));
}

TEST_CASE("each file of a claim is restored by itself") {
  const Folder folder;
  const std::string state = folder / "state";
  auto claim = StateClaim::take(state);
  REQUIRE(claim.ok());
  for (const auto& name : {"/espalier-state", "/control.lock", "/control.sock"}) {
    CAPTURE(name);
    REQUIRE(fs::remove(state + name));
    if (name != std::string("/espalier-state")) CHECK(isRefused(state));  // the check restores it
    CHECK(claim->check().found == Found::restored);
    CHECK(isRefused(state));
    CHECK(claim->check().found == Found::whole);
    CHECK(fs::exists(state + name));
    CHECK(answers(state));
  }
}

TEST_CASE("a state folder is not restored until its parent folder is back") {
  const Folder folder;
  const std::string state = folder / "share/state";
  auto claim = StateClaim::take(state);
  REQUIRE(claim.ok());
  fs::rename(folder / "share", folder / "away");
  const auto gone = claim->check();
  CHECK(gone.found == Found::gone);
  CHECK(gone.why.find("/share/ is gone, too") != std::string::npos);
  CHECK_FALSE(fs::exists(folder / "share"));
  fs::rename(folder / "away", folder / "share");
  CHECK(claim->check().found == Found::whole);
  // Another one in its place.
  fs::remove_all(folder / "share");
  fs::create_directory(folder / "share");
  CHECK(claim->check().found == Found::restored);
  CHECK(answers(state));
}

TEST_CASE("a folder that another program has claimed meanwhile is left to it") {
  const Folder folder;
  const std::string state = folder / "state";
  auto other = StateClaim::take(folder / "other");
  auto claim = StateClaim::take(state);
  REQUIRE((other.ok() && claim.ok()));
  fs::remove_all(state);
  fs::rename(folder / "other", state);
  CHECK(claim->check().found == Found::taken);
  claim->hide();
  CHECK(answers(state));
}
