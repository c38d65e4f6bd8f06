#include "peer/shell/share_matcher.h"

#include <utility>

#include "common/base/thread.h"
#include "peer/core/pattern.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;

// A share this small is looked through on the loop: some 10 us, less than to wake a thread.
constexpr std::size_t kMatchAtOnceFiles = 64;
constexpr std::size_t kMatchAtOnceBytes = 64;  // of the pattern
// The length of a turn: enough for a few thousand names.
constexpr auto kMatchTurn = 5ms;

}  // namespace

Result<void> ShareMatcher::start() {
  return startThread(worker_, [this](std::stop_token stop) { work(stop); });
}

void ShareMatcher::match(const MatchJob& job) {
  const bool isShort = job.text.size() <= kMatchAtOnceBytes &&
                       index_.snapshot()->entries().size() <= kMatchAtOnceFiles;
  if (!isShort) {
    const std::lock_guard lock(mutex_);
    queue_.push(job);
    changed_.notify_one();
    return;
  }
  share::Matching matching;
  matching.job = job;
  advance(matching, kNever);
  network_.matched(job.id, std::move(matching.hits), matching.more, matching.indexing);
}

void ShareMatcher::work(const std::stop_token& stop) {
  while (true) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return !queue_.empty(); });
    if (stop.stop_requested()) return;
    auto matching = queue_.take(Clock::now());
    lock.unlock();
    if (!matching) continue;
    if (!advance(*matching, Clock::now() + kMatchTurn)) {
      lock.lock();
      queue_.putBack(std::move(*matching));
      continue;
    }
    network_.post([found = std::move(*matching)](Peer& peer, TimePoint now, Effects& fx) mutable {
      auto* searches = peer.searches();
      if (searches == nullptr) return;
      searches->matched(found.job.id, std::move(found.hits), found.more, found.indexing, now, fx);
    });
  }
}

bool ShareMatcher::advance(share::Matching& matching, TimePoint until) {
  if (!matching.snapshot) {
    matching.indexing = !index_.progress().ready;  // first: what it adds is in the snapshot then
    matching.snapshot = index_.snapshot();
  }
  if (!matching.advance(until)) return false;
  addPartial(matching);
  return true;
}

void ShareMatcher::addPartial(share::Matching& matching) {
  if (matching.job.kind != PatternKind::root || !matching.hits.empty()) return;
  const auto root = parseFileRoot(matching.job.text);
  const auto file = root ? partialFiles_.find(*root) : nullptr;
  if (file) matching.hits.push_back({file->name(), file->size(), *root, true});
}

}  // namespace espalier::peer::shell
