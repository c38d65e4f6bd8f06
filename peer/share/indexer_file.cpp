#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>

#include "common/base/text.h"
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

// How long until a write would give the file another time than this one: times are of the clock's
// last tick (10 ms at most), and of whole or even seconds on some file systems.
Duration untilOlder(std::int64_t timeNanos) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t age = now.tv_sec * kSecondNanos + now.tv_nsec - timeNanos;
  if (age < 0) return Duration::zero();  // A write would bring it back to the present.
  const Duration needed = timeNanos % kSecondNanos == 0 ? Duration(2s) : Duration(30ms);
  return std::max(Duration::zero(), needed - std::chrono::nanoseconds(age));
}

// The ctime, because the mtime can be put back.
Duration untilStable(const FileStat& stat) {
  return std::max(untilOlder(stat.mtimeNanos), untilOlder(stat.ctimeNanos));
}

}  // namespace

bool isShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM;
}

void Indexer::look(const std::string& name) {
  const std::uint32_t index = folderOf(name);
  const SharedFolder& folder = folders_->at(index);
  if (!isScanned(name) || !folderStates_[index].present) return forgetTree(name);
  const std::string relative = folder.relative(name);
  const std::size_t slash = relative.rfind('/');
  const std::string above = slash == relative.npos ? "" : relative.substr(0, slash);
  const FileDescriptor opened = openBelow(folder.path, above, O_PATH | O_DIRECTORY);
  if (!opened || ::faccessat(opened.get(), ".", X_OK, AT_EACCESS) != 0) {
    forgetTree(name);
    // What is wrong with the folder concerns all that is in it.
    const std::size_t end = folder.single || slash == relative.npos ? 0 : name.rfind('/');
    scans_.push_back(end == 0 ? folder.label : name.substr(0, end));
    return;
  }
  const std::string child = slash == relative.npos ? relative : relative.substr(slash + 1);
  lookAt(opened.get(), child.c_str(), name, index, !watches_.contains(name));
}

void Indexer::lookAt(int folder, const char* child, const std::string& name, std::uint32_t index,
                     bool descend) {
  struct stat status {};
  if (::fstatat(folder, child, &status, AT_SYMLINK_NOFOLLOW) != 0) return lose(name, errno);
  if (S_ISREG(status.st_mode)) {
    if (watches_.contains(name) && !folders_->at(index).single) forgetTree(name);
    return isShared(name) ? consider(name, index, fileStat(status)) : forgetTree(name);
  }
  const bool ours =
      stateFolderId_ == std::pair<std::uint64_t, std::uint64_t>{status.st_dev, status.st_ino};
  if (!S_ISDIR(status.st_mode) || ours || folders_->at(index).single) return forgetTree(name);
  forget(name);
  const bool readable = ::faccessat(folder, child, R_OK | X_OK, AT_EACCESS) == 0;
  if (descend || !readable || troubles_.contains(name)) scans_.push_back(name);
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
    const bool restless = retry->second.attempts > 0 && !troubles_.contains(name);
    if (restless) due = std::max(due, retry->second.due);
  }
  if (catalogue_.files() + jobs_.size() >= limits::kSharedFiles) {
    dropRetry(name);
    return problems_.add(Problem::tooMany, name);
  }
  if (stat.sizeBytes == 0) return accept(name, index, stat, FileRoot{});
  if (const FileRoot* root = catalogue_.remembered(stat)) {
    return accept(name, index, stat, FileRoot(*root));
  }
  if (const auto rest = untilStable(stat); rest > Duration::zero()) {
    due = std::max(due, Clock::now() + rest);
  }
  if (due > Clock::now()) return retryAt(name, due, attempts);
  dropRetry(name);
  submit(name, index, stat, attempts);
}

void Indexer::accept(const std::string& name, std::uint32_t index, const FileStat& stat,
                     const FileRoot& root) {
  dropRetry(name);
  found(name);
  catalogue_.put({name, stat, root, index});
}

HashJobPointer Indexer::jobOf(const std::string& name, std::uint32_t index,
                              const FileStat& stat) const {
  auto job = std::make_shared<HashJob>();
  job->name = name;
  job->folder = folders_->at(index).path;
  job->relative = folders_->at(index).relative(name);
  job->stat = stat;
  job->folderIndex = index;
  return job;
}

void Indexer::submit(const std::string& name, std::uint32_t index, const FileStat& stat,
                     unsigned attempts) {
  auto job = jobOf(name, index, stat);
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
  if (job == recheck_) return onRecheck(job);
  const auto known = jobs_.find(job->name);
  if (known == jobs_.end() || known->second != job) return;  // Another has taken its place.
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
      return lose(job->name, job->error);
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

// What cannot be read, and may be readable again later, without any event.
void Indexer::lose(const std::string& name, int error) {
  if (isShortage(error)) {
    nextRescan_ = std::min(nextRescan_, Clock::now() + kRetryAfterClose);
    return;
  }
  const std::uint32_t index = folderOf(name);
  const bool gone = error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENXIO;
  if (name == folders_->at(index).label && !folders_->at(index).single) {
    return loseTop(index, gone ? 0 : error);
  }
  // A folder above it cannot be read: that was told, and is tried again.
  for (std::size_t end = name.find('/'); end != name.npos; end = name.find('/', end + 1)) {
    if (troubles_.contains(std::string_view(name).substr(0, end))) return forgetTree(name);
  }
  const auto known = troubles_.find(name);
  const unsigned attempts = known == troubles_.end() ? 1 : known->second + 1;
  if (known != troubles_.end()) troubles_.erase(known);  // It was told, and is no news.
  forgetTree(name);
  if (gone) problems_.drop(Problem::unreadable, name);
  if (gone || troubles_.size() >= limits::kSharedFiles) return;
  troubles_.insert_or_assign(name, attempts);
  problems_.add(Problem::unreadable, name, std::generic_category().message(error));
  retryAt(name, Clock::now() + backoff(attempts), attempts);
}

// A shared folder could not be scanned. Without an error the next check finds out why.
void Indexer::loseTop(std::uint32_t index, int error) {
  FolderState& state = folderStates_[index];
  state.notBefore = Clock::now() + backoff(++state.failures);
  nextFolderCheck_ = std::min(nextFolderCheck_, state.notBefore);
  if (error != 0) return loseFolder(index, error);
  if (state.present) forgetFolder(index);
  state.present = false;
}

// It could be read.
void Indexer::found(const std::string& name) {
  const std::uint32_t index = folderOf(name);
  FolderState& state = folderStates_[index];
  if (name == folders_->at(index).label) {
    state.failures = 0;
    if (std::exchange(state.toldGone, false)) {
      notice(log::Level::info, escaped(folders_->at(index).path.string()) + " is there again");
    }
  }
  if (troubles_.erase(name) > 0) problems_.solve(Problem::unreadable, name);
}

void Indexer::forget(const std::string& name) {
  dropJob(name);
  dropRetry(name);
  catalogue_.retire(name);
}

// A file, or a folder with all that is below it: for what is gone, nobody knows what it was.
void Indexer::forgetTree(const std::string& name) {
  forget(name);
  const auto dropTrouble = [this](const std::string& lost) {
    if (troubles_.erase(lost) > 0) problems_.drop(Problem::unreadable, lost);
  };
  dropTrouble(name);
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
  for (const auto& below : others) {
    dropTrouble(below);
    forget(below);
  }
  unwatch(watches_.dropTree(name));
}

}  // namespace espalier::share
