// Which files are being hashed, and which wait to be looked at again.
//
//   unknown --submit()--> hashing --finish(), cancel()--> unknown
//   unknown --retryAt()--> waiting --dropRetry()--> unknown
//
// A file waits because it changed a moment ago (attempts 0), because it changed while it was
// hashed, or because it could not be read.
//
// Invariants: at most one job a name; the job that was submitted last is the one that counts, and
// the result of any other is ignored. firstTries() counts the jobs and waits with attempts 0.
//
// Only the indexer's thread. The file tracker decides when to submit and to retry; the scanner
// takes what is due. O(log n) a call.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "peer/share/hash_lanes.h"

namespace espalier::share {

class HashSchedule {
 public:
  struct Retry {
    TimePoint due;
    unsigned attempts = 0;
  };

  explicit HashSchedule(HashLanes& lanes) : lanes_(lanes) {}

  void submit(HashJobPointer job);
  // The job's result is there. False: the name has another job, or none, and the result is void.
  bool finish(const HashJobPointer& job);
  void cancel(std::string_view name);
  // nullptr: none.
  const HashJob* job(std::string_view name) const;

  // `attempts`: how many have failed.
  void retryAt(const std::string& name, TimePoint due, unsigned attempts);
  // Brings a retry forward; nothing if there is none.
  void retryBy(const std::string& name, TimePoint due);
  void dropRetry(std::string_view name);
  const Retry* retry(std::string_view name) const;
  // A name whose retry is due.
  std::optional<std::string> dueName(TimePoint now) const;
  // When the next retry is due; kNever.
  TimePoint nextDue() const { return due_.empty() ? kNever : due_.begin()->first; }

  bool contains(std::string_view name) const { return job(name) || retry(name); }
  // The names of jobs and retries below a folder; some twice.
  std::vector<std::string> namesBelow(const std::string& folder) const;
  const std::map<std::string, HashJobPointer, std::less<>>& jobs() const { return jobs_; }
  const std::map<std::string, Retry, std::less<>>& retries() const { return retries_; }
  std::uint64_t jobBytes() const { return jobBytes_; }
  std::size_t firstTries() const { return firstTries_; }

 private:
  HashLanes& lanes_;
  std::map<std::string, HashJobPointer, std::less<>> jobs_;
  std::uint64_t jobBytes_ = 0;
  std::map<std::string, Retry, std::less<>> retries_;
  std::set<std::pair<TimePoint, std::string>> due_;  // the same as retries_, by time
  std::size_t firstTries_ = 0;
};

}  // namespace espalier::share
