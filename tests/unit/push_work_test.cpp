// What is missing of a push: whoever deals it anew, which is an event loop, never waits for a disk.
#include "peer/transfer/push_work.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <future>

#include "peer/transfer/push_files.h"
#include "tests/unit/transfer_fixture.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;
using namespace std::chrono_literals;

namespace {

// The only file below `folder` that is being received.
fs::path partBelow(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".part") return entry.path();
  }
  return {};
}

}  // namespace

TEST_CASE("a push is dealt anew while a thread that takes over a list waits for the disk") {
  TemporaryFolder folder;
  TemporaryFolder downloads;
  fs::create_directories(folder / "push");
  writeFile(folder / "push" / "f", randomContent(5 * limits::kPushChunkBytes, 1));
  auto prepared = preparePush({(folder / "push").string()}, {}, {});
  REQUIRE(prepared.ok());
  const auto& plan = prepared->opened.front()->plan();
  PartialFiles store;
  PushWork work(prepared->files, {downloads.text(), downloads.text() + "/.espalier", {}}, store, {},
                [] {});
  auto request = work.next(0);
  REQUIRE(request.ok());
  REQUIRE(request->has_value());
  REQUIRE((*request)->list);
  // A disk that does not answer: opening a fifo waits for who writes into it.
  const auto part = partBelow(downloads / ".espalier");
  REQUIRE_FALSE(part.empty());
  fs::remove(part);
  REQUIRE(::mkfifo(part.c_str(), 0600) == 0);
  std::promise<void> beginning;
  auto learned = std::async(std::launch::async, [&] {
    beginning.set_value();
    return work.learn(**request, plan).ok();
  });
  beginning.get_future().wait();
  CHECK(learned.wait_for(100ms) == std::future_status::timeout);  // it waits for the disk

  auto dealt = std::async(std::launch::async, [&] { return work.deal(2); });
  CHECK(dealt.wait_for(10s) == std::future_status::ready);

  const FileDescriptor writer(::open(part.c_str(), O_WRONLY | O_CLOEXEC));
  CHECK(learned.get());
  CHECK(dealt.get());
}
