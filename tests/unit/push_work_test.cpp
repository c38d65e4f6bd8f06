// PushWork: deal() is called by an event loop, so it must never wait for a disk.
#include "peer/transfer/push_work.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <string>
#include <thread>

#include "peer/transfer/push_files.h"
#include "tests/unit/transfer_fixture.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;
using namespace std::chrono_literals;

namespace {

// The only part file below `folder`.
fs::path partBelow(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".part") return entry.path();
  }
  return {};
}

// Whether a thread of this process is blocked, by its state in /proc.
bool isAsleep(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name = text.rfind(") ");
  return name != std::string::npos && text[name + 2] == 'S';
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
  // A disk that does not answer: opening a fifo blocks until a writer opens it, too.
  const auto part = partBelow(downloads / ".espalier");
  REQUIRE_FALSE(part.empty());
  fs::remove(part);
  REQUIRE(::mkfifo(part.c_str(), 0600) == 0);
  std::promise<pid_t> learner;
  auto learned = std::async(std::launch::async, [&] {
    learner.set_value(::gettid());
    return work.learn(**request, plan).ok();
  });
  const pid_t thread = learner.get_future().get();
  while (!isAsleep(thread)) std::this_thread::yield();

  auto dealt = std::async(std::launch::async, [&] { return work.deal(2); });
  CHECK(dealt.wait_for(10s) == std::future_status::ready);
  CHECK(learned.wait_for(0s) == std::future_status::timeout);

  const FileDescriptor writer(::open(part.c_str(), O_WRONLY | O_CLOEXEC));
  CHECK(learned.get());
  CHECK(dealt.get());
}
