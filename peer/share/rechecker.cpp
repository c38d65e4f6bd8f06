#include "peer/share/rechecker.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kNamesPerRoot = 4;  // files of one content

}  // namespace

Duration pauseAfterRecheck(Duration took) {
  constexpr int kTimeShare = 20;  // at most a twentieth of the time
  constexpr auto kLeast = 1s;
  constexpr auto kMost = 10min;  // a stop of this process counts as hashing
  return std::clamp<Duration>(kTimeShare * std::min<Duration>(took, kMost), kLeast, kMost);
}

void Rechecker::add(const FileRoot& root) {
  const auto now = Clock::now();
  std::erase_if(checked_,
                [&](const auto& one) { return now - one.second >= limits::kRecheckAgain; });
  if (names_.size() + kNamesPerRoot > limits::kRechecks || checked_.size() >= limits::kToldPaths ||
      checked_.contains(root)) {
    return;
  }
  const auto entries = catalogue_.published().findRoot(root);
  if (entries.empty() || entries.front()->stat.sizeBytes == 0) return;
  checked_.emplace(root, now);
  for (std::size_t i = 0; i < std::min(entries.size(), kNamesPerRoot); ++i) {
    names_.push_back(entries[i]->name);
  }
}

void Rechecker::startIfDue() {
  while (Clock::now() >= due()) {
    const std::string name = std::move(names_.front());
    names_.pop_front();
    const Entry* entry = catalogue_.current(name);
    if (entry == nullptr) continue;
    job_ = files_.jobOf(name, entry->folder, entry->stat);
    started_ = Clock::now();
    lanes_.submit(job_);
  }
}

void Rechecker::onResult(const HashJobPointer& job) {
  job_.reset();
  const auto now = Clock::now();
  due_ = now + pauseAfterRecheck(now - started_);
  const Entry* entry = catalogue_.current(job->name);
  // A file that has changed is hashed anyway.
  if (entry == nullptr || entry->stat != job->stat) return;
  if (job->outcome == HashOutcome::unreadable) return scanner_.lose(job->name, job->error);
  if (job->outcome != HashOutcome::done) {
    queue_.look(job->name);
  } else if (job->root != entry->root) {
    notify_({log::Level::warning, escaped(job->name) +
                                      ": its content is not what it was, although its size and "
                                      "times did not change: it is shared as it is now"});
    files_.accept(job->name, job->folderIndex, job->stat, job->root);
  }
}

}  // namespace espalier::share
