// More changes at once than inotify's queue holds.
#include <doctest/doctest.h>

#include "peer/share/folder_watch.h"
#include "tests/unit/share_fixture.h"

using namespace espalier;
using namespace espalier::share;

namespace {

// Makes and removes so many files that the event queue overflows while it is not read.
void overflowQueues(const fs::path& folder) {
  std::size_t events = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> events;
  REQUIRE(events > 0);
  for (std::size_t i = 0; i <= events; ++i) {
    const auto file = folder / ("passing" + std::to_string(i % 10));
    write(file, "");
    fs::remove(file);
  }
}

// Blocks each thread that calls pass() until open() is called.
class Gate {
 public:
  ~Gate() { open(); }
  void pass() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void waitReached() {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, kDeadline, [&] { return reached_; }));
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false;
  bool open_ = false;
};

}  // namespace

TEST_CASE("a watch whose queue overflowed says that events were lost") {
  TempFolder temp;
  FolderWatch watch(10);
  const FileDescriptor folder(::open(temp.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(watch.add(folder.get()) >= 0);
  overflowQueues(temp.path());

  bool overflow = false;
  watch.read([&](const WatchEvent& event) { overflow = overflow || event.overflow; });
  CHECK(overflow);
}

TEST_CASE("changes whose events were lost are found") {
  Gate gate;
  Sharer sharer([&](ShareOptions& options) {
    // Blocks the indexer's thread, so that it reads no events.
    options.onNotice = [&](const ShareNotice&) { gate.pass(); };
  });
  write(sharer.share() / "folder/old.txt", "old");
  write(sharer.share() / "folder/changed.txt", "before");
  sharer.startAndWait();
  sharer.waitForNames({"folder/changed.txt", "folder/old.txt"});

  write(sharer.share() / "no\xFFtext", "is told");
  gate.waitReached();
  overflowQueues(sharer.share());
  write(sharer.share() / "folder/deep/new.txt", "new");
  write(sharer.share() / "folder/changed.txt", "after");
  fs::remove(sharer.share() / "folder/old.txt");
  gate.open();

  sharer.waitForNames({"folder/changed.txt", "folder/deep/new.txt"});
  sharer.waitForContent("folder/changed.txt", "after");
}
