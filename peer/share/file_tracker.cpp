#include "peer/share/file_tracker.h"

#include <algorithm>
#include <ctime>
#include <system_error>

#include "common/base/limits.h"
#include "peer/share/retry_delay.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

constexpr auto kRescanAfterShortage = 1s;
constexpr unsigned kRestless = 5;  // attempts after which the user is told
constexpr std::int64_t kSecondNanos = 1'000'000'000;

// How long until a write would give the file another time than this one. Times are of the clock's
// last tick (10 ms at most), and of whole or even seconds on some file systems.
Duration untilOlder(std::int64_t timeNanos) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t age = now.tv_sec * kSecondNanos + now.tv_nsec - timeNanos;
  if (age < 0) return Duration::zero();  // In the future: a write would bring it to the present.
  const Duration needed = timeNanos % kSecondNanos == 0 ? Duration(2s) : Duration(30ms);
  return std::max(Duration::zero(), needed - std::chrono::nanoseconds(age));
}

// The ctime, because a program can put the mtime back.
Duration untilStable(const FileStat& stat) {
  return std::max(untilOlder(stat.mtimeNanos), untilOlder(stat.ctimeNanos));
}

}  // namespace

FileTracker::FileTracker(const FolderTable& folders, Catalogue& catalogue, HashSchedule& schedule,
                         Problems& problems, TreeWatch& watch, ScanQueue& queue)
    : folders_(folders),
      catalogue_(catalogue),
      schedule_(schedule),
      problems_(problems),
      unreadable_(problems),
      watch_(watch),
      queue_(queue) {}

void FileTracker::consider(const std::string& name, std::uint32_t folder, const FileStat& stat) {
  const Entry* known = catalogue_.current(name);
  if (known != nullptr && known->stat == stat && known->folder == folder) {
    schedule_.cancel(name);
    return schedule_.dropRetry(name);
  }
  const HashJob* job = schedule_.job(name);
  if (job != nullptr && job->stat == stat) return;
  catalogue_.remove(name);
  TimePoint due{};
  unsigned attempts = 0;
  if (job != nullptr) {  // It has changed since it was submitted.
    attempts = job->attempts + 1;
    due = Clock::now() + retryDelay(attempts);
    schedule_.cancel(name);
  }
  if (const auto* retry = schedule_.retry(name)) {
    attempts = std::max(attempts, retry->attempts);
    const bool restless = retry->attempts > 0 && !unreadable_.contains(name);
    if (restless) due = std::max(due, retry->due);
  }
  if (catalogue_.files() + schedule_.jobs().size() >= limits::kSharedFiles) {
    schedule_.dropRetry(name);
    return problems_.add(Problem::tooMany, name);
  }
  if (stat.sizeBytes == 0) return accept(name, folder, stat, FileRoot{});
  if (const FileRoot* root = catalogue_.remembered(stat)) {
    return accept(name, folder, stat, FileRoot(*root));
  }
  if (const auto rest = untilStable(stat); rest > Duration::zero()) {
    due = std::max(due, Clock::now() + rest);
  }
  if (due > Clock::now()) return schedule_.retryAt(name, due, attempts);
  schedule_.dropRetry(name);
  auto fresh = jobOf(name, folder, stat);
  fresh->attempts = attempts;
  schedule_.submit(std::move(fresh));
}

void FileTracker::accept(const std::string& name, std::uint32_t folder, const FileStat& stat,
                         const FileRoot& root) {
  schedule_.dropRetry(name);
  found(name);
  catalogue_.put({name, stat, root, folder});
}

HashJobPointer FileTracker::jobOf(const std::string& name, std::uint32_t folder,
                                  const FileStat& stat) const {
  auto job = std::make_shared<HashJob>();
  job->name = name;
  job->folder = folders_.at(folder).path;
  job->relative = folders_.at(folder).relative(name);
  job->stat = stat;
  job->folderIndex = folder;
  return job;
}

void FileTracker::onResult(const HashJobPointer& job) {
  if (!schedule_.finish(job)) return;
  switch (job->outcome.load()) {
    case HashOutcome::done:
      return accept(job->name, job->folderIndex, job->stat, job->root);
    case HashOutcome::changed:
    case HashOutcome::gone:
      // Also when it is gone: another file may have its name now.
      if (job->attempts + 1 == kRestless) problems_.add(Problem::restless, job->name);
      return schedule_.retryAt(job->name, Clock::now() + retryDelay(job->attempts + 1),
                               job->attempts + 1);
    case HashOutcome::unreadable:
      return lose(job->name, job->error);
  }
}

void FileTracker::lose(const std::string& name, int error) {
  if (isShortage(error)) return queue_.rescanBy(Clock::now() + kRescanAfterShortage);
  // The user is told of that folder; it is tried again with all that is in it.
  if (unreadable_.containsAbove(name)) return forgetTree(name);
  // Taken first: forgetTree() would drop what the user was told, and then it would be told again.
  const unsigned attempts = unreadable_.take(name) + 1;
  forgetTree(name);
  if (isGone(error)) return problems_.drop(Problem::unreadable, name);
  if (!unreadable_.put(name, attempts, std::generic_category().message(error))) return;
  schedule_.retryAt(name, Clock::now() + retryDelay(attempts), attempts);
}

void FileTracker::forget(const std::string& name) {
  schedule_.cancel(name);
  schedule_.dropRetry(name);
  catalogue_.retire(name);
}

void FileTracker::forgetTree(const std::string& name) {
  // Whether the name was of a file or of a folder is not known when it is gone.
  forget(name);
  unreadable_.drop(name);
  for (const auto& below : catalogue_.names(name, [](const Entry&) { return true; })) {
    forget(below);
  }
  for (const auto& below : schedule_.namesBelow(name)) {
    unreadable_.drop(below);
    forget(below);
  }
  watch_.dropTree(name);
}

void FileTracker::forgetFolder(std::uint32_t folder) {
  const auto isOf = [&](std::string_view name) { return folders_.indexOf(name) == folder; };
  for (const auto& name :
       catalogue_.names("", [&](const Entry& entry) { return entry.folder == folder; })) {
    forget(name);
  }
  std::vector<std::string> others = unreadable_.names(isOf);
  for (const auto& [name, job] : schedule_.jobs()) {
    if (job->folderIndex == folder) others.push_back(name);
  }
  for (const auto& [name, retry] : schedule_.retries()) {
    if (isOf(name)) others.push_back(name);
  }
  for (const auto& name : others) {
    forget(name);
    unreadable_.drop(name);
  }
  watch_.dropNames(isOf);
}

}  // namespace espalier::share
