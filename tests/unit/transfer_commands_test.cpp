// pause, resume, cancel and limit, and commands in the background.
#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/command/background.h"
#include "tests/unit/given_command.h"

using namespace espalier;
using namespace espalier::command;
using namespace espalier::peer::shell;
using namespace espalier::test;

TEST_CASE("downloads are held up by their numbers, or all of them") {
  Given given;
  CHECK(given.run("pause").out == "3  f3.txt: paused\n");
  CHECK(given.run("resume 3").out == "3  f3.txt: goes on\n");
  CHECK(given.run("cancel 3").out == "3  f3.txt: cancelled\n");
  using Numbers = std::vector<std::uint64_t>;
  REQUIRE(given.service.controlled.size() == 3);
  CHECK(given.service.controlled[0] == std::pair(TransferControl::pause, Numbers{}));
  CHECK(given.service.controlled[1] == std::pair(TransferControl::resume, Numbers{3}));
  CHECK(given.service.controlled[2] == std::pair(TransferControl::cancel, Numbers{3}));
  CHECK(given.run("cancel").outcome.exitCode() == 64);
  CHECK(given.run("pause three").outcome.exitCode() == 64);
  CHECK(given.run("pause 4").outcome.exitCode() == 1);
  CHECK(given.service.controlled.size() == 4);
}

TEST_CASE("rates are set, shown, and refused when they make no sense") {
  Given given;
  CHECK(given.run("limit").out == "upload    no limit\ndownload  no limit\n");
  CHECK(given.run("limit upload 500K").out == "upload    500.0 kB/s\ndownload  no limit\n");
  CHECK(given.run("limit download 2M upload none").json ==
        R"({"command":"limit","upload":0,"download":2000000})"
        "\n");
  for (const auto* wrong : {"limit upload", "limit sideways 3M", "limit upload 3", "limit 3M",
                            "limit upload -1", "limit upload 99999999T"}) {
    CAPTURE(wrong);
    CHECK(given.run(wrong).outcome.exitCode() == 64);
  }
  CHECK(given.service.rates.download == 2'000'000);
}

TEST_CASE("a line with & at its end is a command for the background") {
  CHECK(backgroundCommand("get f3.txt &") == "get f3.txt ");
  CHECK(backgroundCommand("get f3.txt  & ") == "get f3.txt  ");
  CHECK_FALSE(backgroundCommand("get f3.txt"));
  CHECK_FALSE(backgroundCommand("get a&"));
  CHECK_FALSE(backgroundCommand("&"));
  CHECK_FALSE(backgroundCommand(""));
}

TEST_CASE("commands in the background tell what they came to, and are cancelled at the end") {
  FakePeerService service;
  const command::Dispatcher dispatcher(peerCommands(service.services()),
                                       peerNames(service.services()));
  std::mutex mutex;
  std::condition_variable changed;
  std::string told;
  bool searching = false;
  service.underWay = [&] {
    const std::lock_guard lock(mutex);
    searching = true;
    changed.notify_all();
  };
  {
    Background background(dispatcher, [&](const command::Outcome& outcome) {
      const auto rendered = render(outcome, Format::text);
      const std::lock_guard lock(mutex);
      told += rendered.out + rendered.err;
      changed.notify_all();
    });
    REQUIRE(background.start("get f3.txt", {}));
    REQUIRE(background.start("find 'for ever'", {}));
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return searching && !told.empty(); });
  }
  CHECK(told == "f3.txt: 12 B from s1, verified, saved as ./s2/f3.txt\n");
}
