#include "peer/share/tree_watch.h"

#include <cerrno>
#include <utility>

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

constexpr auto kWatchPause = 10ms;

}  // namespace

TreeWatch::TreeWatch(std::size_t watches, Duration rescanInterval, ScanQueue& queue,
                     const Notify& notify)
    : rescanInterval_(rescanInterval), queue_(queue), notify_(notify), watch_(watches) {}

void TreeWatch::add(const std::string& name, int folder) {
  const int number = watch_.add(folder);
  if (number >= 0) return table_.put(name, number);
  const int error = errno;
  refusedInRescan_ = true;
  if (std::exchange(refused_, true)) return;
  queue_.rescanBy(Clock::now() + rescanInterval_);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(rescanInterval_).count();
  notify_({log::Level::warning, "cannot watch all folders for changes, because " +
                                    FolderWatch::reason(error) + ": looking at them every " +
                                    std::to_string(seconds) + " s until they can be watched"});
}

void TreeWatch::dropTree(std::string_view name) {
  for (const int watch : table_.dropTree(name)) watch_.remove(watch);
}

void TreeWatch::dropNames(const std::function<bool(const std::string&)>& gone) {
  for (const int watch : table_.dropNames(gone)) watch_.remove(watch);
}

std::vector<std::string> TreeWatch::dropEnded(int watch) {
  auto names = table_.namesOf(watch);
  table_.drop(watch);
  return names;
}

void TreeWatch::read(TimePoint now, const std::function<void(const WatchEvent&)>& onEvent) {
  if (now < pausedUntil_ || watch_.descriptor() < 0) return;
  bool any = false;
  watch_.read([&](const WatchEvent& event) {
    any = true;
    onEvent(event);
  });
  if (any) pausedUntil_ = Clock::now() + kWatchPause;
}

void TreeWatch::beginRescan() {
  queue_.setRescan(refused_ ? Clock::now() + rescanInterval_ : kNever);
  refusedInRescan_ = false;
  watch_.reopen();
}

void TreeWatch::endRescan() {
  if (!refused_ || refusedInRescan_) return;
  refused_ = false;
  queue_.setRescan(kNever);
  notify_({log::Level::info, "all folders can be watched for changes again"});
}

}  // namespace espalier::share
