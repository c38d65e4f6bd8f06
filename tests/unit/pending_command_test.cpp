// A command of another thread for the indexer's thread.
#include "peer/share/pending_command.h"

#include <doctest/doctest.h>

#include <future>
#include <thread>

using namespace espalier;
using namespace std::chrono_literals;
using share::PendingCommand;

TEST_CASE("the caller gets the result of its command") {
  PendingCommand pending([] { return Error{ErrorCode::failed, "not shared"}; });
  std::jthread indexer([&] { pending.run(); });
  CHECK(pending.wait(60s, {}).error().message == "not shared");
}

TEST_CASE("a command is not run after its caller has stopped waiting") {
  bool ran = false;
  const auto command = [&]() -> Result<void> {
    ran = true;
    return {};
  };
  std::stop_source stopped;
  stopped.request_stop();
  PendingCommand interrupted(command);
  CHECK(interrupted.wait(60s, stopped.get_token()).error().code == ErrorCode::interrupted);
  interrupted.run();
  PendingCommand late(command);
  CHECK(late.wait(0s, {}).error().code == ErrorCode::timeout);
  late.run();
  CHECK_FALSE(ran);
}

TEST_CASE("a caller that gives up a command that has begun learns that it may still take effect") {
  std::promise<void> begun;
  std::promise<void> goOn;
  PendingCommand pending([&]() -> Result<void> {
    begun.set_value();
    goOn.get_future().wait();
    return {};
  });
  std::jthread indexer([&] { pending.run(); });
  begun.get_future().wait();
  const auto gaveUp = pending.wait(0s, {});
  goOn.set_value();
  CHECK(gaveUp.error().code == ErrorCode::timeout);
  CHECK(gaveUp.error().message.find("may still take effect") != std::string::npos);
}
