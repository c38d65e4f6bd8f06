#include "peer/share/hash_schedule.h"

#include <algorithm>

namespace espalier::share {
namespace {

void appendBelow(const auto& table, const std::string& prefix, std::vector<std::string>& names) {
  for (auto at = table.lower_bound(prefix); at != table.end() && at->first.starts_with(prefix);
       ++at) {
    names.push_back(at->first);
  }
}

}  // namespace

void HashSchedule::submit(HashJobPointer job) {
  cancel(job->name);
  jobs_.emplace(job->name, job);
  jobBytes_ += job->stat.sizeBytes;
  if (job->attempts == 0) ++firstTries_;
  lanes_.submit(std::move(job));
}

bool HashSchedule::finish(const HashJobPointer& job) {
  const auto found = jobs_.find(job->name);
  if (found == jobs_.end() || found->second != job) return false;
  cancel(job->name);
  return true;
}

void HashSchedule::cancel(std::string_view name) {
  const auto found = jobs_.find(name);
  if (found == jobs_.end()) return;
  found->second->cancelled = true;
  jobBytes_ -= found->second->stat.sizeBytes;
  if (found->second->attempts == 0) --firstTries_;
  jobs_.erase(found);
}

const HashJob* HashSchedule::job(std::string_view name) const {
  const auto found = jobs_.find(name);
  return found == jobs_.end() ? nullptr : found->second.get();
}

void HashSchedule::retryAt(const std::string& name, TimePoint due, unsigned attempts) {
  dropRetry(name);
  retries_.insert_or_assign(name, Retry{due, attempts});
  due_.emplace(due, name);
  if (attempts == 0) ++firstTries_;
}

void HashSchedule::retryBy(const std::string& name, TimePoint due) {
  if (const Retry* known = retry(name)) {
    retryAt(name, std::min(known->due, due), known->attempts);
  }
}

void HashSchedule::dropRetry(std::string_view name) {
  const auto found = retries_.find(name);
  if (found == retries_.end()) return;
  if (found->second.attempts == 0) --firstTries_;
  due_.erase({found->second.due, found->first});
  retries_.erase(found);
}

const HashSchedule::Retry* HashSchedule::retry(std::string_view name) const {
  const auto found = retries_.find(name);
  return found == retries_.end() ? nullptr : &found->second;
}

std::optional<std::string> HashSchedule::dueName(TimePoint now) const {
  if (nextDue() > now || due_.empty()) return std::nullopt;
  return due_.begin()->second;
}

std::vector<std::string> HashSchedule::namesBelow(const std::string& folder) const {
  std::vector<std::string> names;
  appendBelow(jobs_, folder + '/', names);
  appendBelow(retries_, folder + '/', names);
  return names;
}

}  // namespace espalier::share
