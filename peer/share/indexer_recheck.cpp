// Files that somebody calls damaged are hashed again, while they stay shared: a claim costs
// nothing, so it must not take a file away from others. What proves to be another file is then
// announced as what it is.
#include <algorithm>

#include "common/base/text.h"
#include "peer/share/indexer.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

constexpr auto kBetween = 1s;
constexpr int kTimeShare = 20;            // at most a twentieth of the time is spent so
constexpr std::size_t kNamesPerRoot = 4;  // of one content

}  // namespace

void Indexer::queueRecheck(const FileRoot& root) {
  const auto now = Clock::now();
  std::erase_if(recheckedRoots_,
                [&](const auto& one) { return now - one.second >= limits::kRecheckAgain; });
  if (rechecks_.size() + kNamesPerRoot > limits::kRechecks ||
      recheckedRoots_.size() >= limits::kToldPaths || recheckedRoots_.contains(root)) {
    return;
  }
  const auto entries = catalogue_.published().findRoot(root);
  if (entries.empty() || entries.front()->stat.sizeBytes == 0) return;
  recheckedRoots_.emplace(root, now);
  for (std::size_t i = 0; i < std::min(entries.size(), kNamesPerRoot); ++i) {
    rechecks_.push_back(entries[i]->name);
  }
}

void Indexer::recheckIfDue() {
  while (!rechecks_.empty() && !recheck_ && Clock::now() >= recheckDue_) {
    const std::string name = std::move(rechecks_.front());
    rechecks_.pop_front();
    const Entry* entry = catalogue_.current(name);
    if (entry == nullptr) continue;
    recheck_ = jobOf(name, entry->folder, entry->stat);
    recheckStarted_ = Clock::now();
    lanes_.submit(recheck_);
  }
}

void Indexer::onRecheck(const HashJobPointer& job) {
  recheck_.reset();
  const auto now = Clock::now();
  recheckDue_ = now + std::max<Duration>(kBetween, (now - recheckStarted_) * kTimeShare);
  const Entry* entry = catalogue_.current(job->name);
  if (entry == nullptr || entry->stat != job->stat)
    return;  // It was changed, and is hashed anyway.
  if (job->outcome == HashOutcome::unreadable) return lose(job->name, job->error);
  if (job->outcome != HashOutcome::done) {
    touched_.insert(job->name);
  } else if (job->root != entry->root) {
    notice(log::Level::warning, escaped(job->name) +
                                    ": its content is not what it was, though nothing says that it "
                                    "was changed: it is shared as it is now");
    accept(job->name, job->folderIndex, job->stat, job->root);
  }
}

}  // namespace espalier::share
