#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "peer/share/indexer.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetryFirst = 100ms;
constexpr auto kRetryLast = 30s;
constexpr auto kRetryAfterClose = 1s;
constexpr unsigned kRestless = 5;  // attempts after which the user is told
constexpr std::int64_t kSecondNanos = 1'000'000'000;

Duration backoff(unsigned attempts) {
  const Duration doubled = kRetryFirst * (1u << std::min(attempts - 1, 10u));
  return std::min<Duration>(doubled, kRetryLast);
}

// How long until a write would give the file another mtime: mtimes are of the clock's last tick (10
// ms at most), and of whole or even seconds on some file systems.
Duration untilSettled(std::int64_t mtimeNanos) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t age = now.tv_sec * kSecondNanos + now.tv_nsec - mtimeNanos;
  if (age < 0) return Duration::zero();  // A write would bring it back to the present.
  const Duration needed = mtimeNanos % kSecondNanos == 0 ? Duration(2s) : Duration(30ms);
  return std::max(Duration::zero(), needed - std::chrono::nanoseconds(age));
}

}  // namespace

void Indexer::look(const std::string& name) {
  const std::uint32_t index = folderOf(name);
  const SharedFolder& folder = folders_->at(index);
  if (isHidden(name) || !folderStates_[index].present) return forgetTree(name);
  const std::string relative = folder.relative(name);
  const std::size_t slash = relative.rfind('/');
  const std::string above = slash == relative.npos ? "" : relative.substr(0, slash);
  const FileDescriptor opened = openBelow(folder.path, above, O_PATH | O_DIRECTORY);
  if (!opened) return forgetTree(name);
  const std::string child = slash == relative.npos ? relative : relative.substr(slash + 1);
  lookAt(opened.get(), child.c_str(), name, index, !watches_.contains(name));
}

void Indexer::lookAt(int folder, const char* child, const std::string& name, std::uint32_t index,
                     bool descend) {
  struct stat status {};
  if (::fstatat(folder, child, &status, AT_SYMLINK_NOFOLLOW) != 0) return forgetTree(name);
  if (S_ISREG(status.st_mode)) {
    if (watches_.contains(name) && !folders_->at(index).single) forgetTree(name);
    return consider(name, index, fileStat(status));
  }
  const bool ours =
      stateFolderId_ == std::pair<std::uint64_t, std::uint64_t>{status.st_dev, status.st_ino};
  if (!S_ISDIR(status.st_mode) || ours || folders_->at(index).single) return forgetTree(name);
  forget(name);
  if (descend) scans_.push_back(name);
}

void Indexer::consider(const std::string& name, std::uint32_t index, const FileStat& stat) {
  const auto job = jobs_.find(name);
  const Entry* known = catalogue_.current(name);
  if (known != nullptr && known->stat == stat && known->folder == index) {
    dropJob(name);
    return dropRetry(name);
  }
  if (job != jobs_.end() && job->second->stat == stat && !job->second->cancelled) return;
  catalogue_.remove(name);
  TimePoint due{};
  unsigned attempts = 0;
  if (job != jobs_.end()) {  // It changed while it is hashed.
    attempts = job->second->attempts + 1;
    due = Clock::now() + backoff(attempts);
    dropJob(name);
  }
  if (const auto retry = retries_.find(name); retry != retries_.end()) {
    attempts = std::max(attempts, retry->second.attempts);
    if (retry->second.attempts > 0) due = std::max(due, retry->second.due);
  }
  if (catalogue_.files() + jobs_.size() >= limits::kSharedFiles) {
    dropRetry(name);
    return problems_.add(Problem::tooMany, name);
  }
  if (stat.sizeBytes == 0) return accept(name, index, stat, FileRoot{});
  if (const FileRoot* root = catalogue_.remembered(stat)) {
    return accept(name, index, stat, FileRoot(*root));
  }
  if (const auto rest = untilSettled(stat.mtimeNanos); rest > Duration::zero()) {
    due = std::max(due, Clock::now() + rest);
  }
  if (due > Clock::now()) return retryAt(name, due, attempts);
  dropRetry(name);
  submit(name, index, stat, attempts);
}

void Indexer::accept(const std::string& name, std::uint32_t index, const FileStat& stat,
                     const FileRoot& root) {
  dropRetry(name);
  catalogue_.put({name, stat, root, index});
}

void Indexer::submit(const std::string& name, std::uint32_t index, const FileStat& stat,
                     unsigned attempts) {
  auto job = std::make_shared<HashJob>();
  job->name = name;
  job->folder = folders_->at(index).path;
  job->relative = folders_->at(index).relative(name);
  job->stat = stat;
  job->folderIndex = index;
  job->attempts = attempts;
  jobs_.insert_or_assign(name, job);
  jobBytes_ += stat.sizeBytes;
  if (attempts == 0) ++firstTries_;
  lanes_.submit(std::move(job));
}

void Indexer::takeResults() {
  for (const auto& job : lanes_.takeResults()) onResult(job);
}

void Indexer::onResult(const HashJobPointer& job) {
  const auto found = jobs_.find(job->name);
  if (found == jobs_.end() || found->second != job) return;  // Another has taken its place.
  dropJob(job->name);
  switch (job->outcome.load()) {
    case HashOutcome::done:
      return accept(job->name, job->folderIndex, job->stat, job->root);
    case HashOutcome::changed:
    case HashOutcome::gone:
      // Also for what is gone: something else may have taken its name.
      if (job->attempts + 1 == kRestless) problems_.add(Problem::restless, job->name);
      return retryAt(job->name, Clock::now() + backoff(job->attempts + 1), job->attempts + 1);
    case HashOutcome::unreadable:
      problems_.add(Problem::unreadable, job->name);
      return forget(job->name);
  }
}

void Indexer::lookAtDue() {
  const auto now = Clock::now();
  while (!due_.empty() && due_.begin()->first <= now) {
    const std::string name = due_.begin()->second;
    look(name);
    // What was looked at is submitted, gone, or due later; if not, it must not come up for ever.
    if (!due_.empty() && due_.begin()->first <= now && due_.begin()->second == name) {
      dropRetry(name);
    }
  }
}

void Indexer::retryAt(const std::string& name, TimePoint due, unsigned attempts) {
  dropRetry(name);
  retries_.insert_or_assign(name, Retry{due, attempts});
  due_.emplace(due, name);
  if (attempts == 0) ++firstTries_;
}

// Whoever wrote it has closed it: it may be at rest now.
void Indexer::sooner(const std::string& name) {
  const auto retry = retries_.find(name);
  if (retry == retries_.end()) return;
  const auto due = std::min<TimePoint>(retry->second.due, Clock::now() + kRetryAfterClose);
  retryAt(name, due, retry->second.attempts);
}

void Indexer::dropRetry(std::string_view name) {
  const auto retry = retries_.find(name);
  if (retry == retries_.end()) return;
  if (retry->second.attempts == 0) --firstTries_;
  due_.erase({retry->second.due, retry->first});
  retries_.erase(retry);
}

void Indexer::dropJob(std::string_view name) {
  const auto found = jobs_.find(name);
  if (found == jobs_.end()) return;
  found->second->cancelled = true;
  jobBytes_ -= found->second->stat.sizeBytes;
  if (found->second->attempts == 0) --firstTries_;
  jobs_.erase(found);
}

void Indexer::forget(const std::string& name) {
  dropJob(name);
  dropRetry(name);
  catalogue_.retire(name);
}

// A file, or a folder with all that is below it: for what is gone, nobody knows what it was.
void Indexer::forgetTree(const std::string& name) {
  forget(name);
  for (const auto& below : catalogue_.names(name, [](const Entry&) { return true; })) {
    forget(below);
  }
  const std::string prefix = name + '/';
  std::vector<std::string> others;
  for (auto at = jobs_.lower_bound(prefix); at != jobs_.end() && at->first.starts_with(prefix);
       ++at) {
    others.push_back(at->first);
  }
  for (auto at = retries_.lower_bound(prefix);
       at != retries_.end() && at->first.starts_with(prefix); ++at) {
    others.push_back(at->first);
  }
  for (const auto& below : others) forget(below);
  unwatch(watches_.dropTree(name));
}

}  // namespace espalier::share
