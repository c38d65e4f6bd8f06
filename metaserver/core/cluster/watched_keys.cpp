#include "metaserver/core/cluster/watched_keys.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::cluster {
namespace {

// A read that was not answered at all; the shell gives up earlier.
constexpr Duration kReadForgotten = 2 * limits::kEtcdPatience;

}  // namespace

void WatchedKeys::tick(TimePoint now, EtcdNumbers& numbers, std::vector<etcd::Request>& out) {
  if (wantsWatch_) {
    wantsWatch_ = false;
    watch_ = numbers.next();
    out.push_back({watch_, etcd::Watch{key_, end_, revision_ + 1}});
  }
  if (reading_ && now - reading_->sentAt >= kReadForgotten) reading_.reset();
  if (reading_ || now < nextRead_) return;
  reading_ = Reading{numbers.next(), now};
  nextRead_ = now + limits::kEtcdReadAgain;
  out.push_back({reading_->number, etcd::Range{key_, end_, 0, limits::kEtcdKeysWatched}});
}

TimePoint WatchedKeys::deadline() const {
  if (wantsWatch_) return TimePoint::min();
  return reading_ ? reading_->sentAt + kReadForgotten : nextRead_;
}

void WatchedKeys::readSoon(TimePoint now) {
  nextRead_ = std::min(nextRead_, now);
}

bool WatchedKeys::answered(const etcd::Answer& answer, TimePoint now) {
  if (reading_ && answer.number == reading_->number) {
    if (const auto* ranged = std::get_if<etcd::Ranged>(&answer.what)) {
      readAt_ = reading_->sentAt;
      failure_.clear();
      read(*ranged);
    } else if (const auto* failed = std::get_if<etcd::Failed>(&answer.what)) {
      failure_ = failed->why;
      nextRead_ = now + limits::kEtcdRetry;
    }
    reading_.reset();
    return true;
  }
  if (watch_ == 0 || answer.number != watch_) return false;
  if (const auto* watched = std::get_if<etcd::Watched>(&answer.what)) {
    learn(*watched);
    return true;
  }
  // It ended: the next read begins another one.
  watch_ = 0;
  nextRead_ = std::max(std::min(nextRead_, now + limits::kEtcdRetry), now);
  return true;
}

void WatchedKeys::read(const etcd::Ranged& ranged) {
  if (ranged.revision < revision_) return;  // the watch was faster
  std::map<std::string, etcd::KeyValue> keys;
  for (const auto& one : ranged.keys) {
    if (keys.size() == limits::kEtcdKeysWatched) break;
    keys.emplace(one.key, one);
  }
  if (watch_ == 0 || keys != keys_) wantsWatch_ = true;
  keys_ = std::move(keys);
  revision_ = ranged.revision;
}

void WatchedKeys::learn(const etcd::Watched& watched) {
  for (const auto& change : watched.changes) {
    if (change.key.modified <= revision_) continue;
    if (change.isRemoved) {
      keys_.erase(change.key.key);
    } else if (keys_.size() < limits::kEtcdKeysWatched || keys_.contains(change.key.key)) {
      keys_[change.key.key] = change.key;
    }
  }
  revision_ = std::max(revision_, watched.revision);
}

const etcd::KeyValue* WatchedKeys::find(const std::string& key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &found->second;
}

}  // namespace espalier::metaserver::cluster
