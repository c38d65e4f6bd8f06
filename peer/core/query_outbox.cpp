#include "peer/core/query_outbox.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "peer/core/query_meter.h"

namespace espalier::peer {

bool QueryOutbox::takeToken(TimePoint now) {
  const bool taken = next_.spend(limits::Rate::queriesTold, now);
  nextAt_ = taken ? now : next_.affordableAt(limits::Rate::queriesTold, now);
  return taken;
}

void QueryOutbox::giveBack(TimePoint now) {
  next_.owe(limits::Rate::queriesTold, now, -1);
  nextAt_ = now;
}

bool QueryOutbox::offer(const QueryId& id, Source source, std::uint32_t load, TimePoint now,
                        std::optional<QueryId>& dropped) {
  if (size_ == 0 && takeToken(now)) return true;
  const unsigned kind = QueryMeter::classOf(load);
  const auto most = source ? limits::kQueriesQueued : limits::kOpenQueries;
  if (counts_[source] >= most) {
    dropped = makeRoom(source, kind);
    if (!dropped) {
      dropped = id;
      return false;
    }
  }
  Lane& lane = lanes_[kind];
  if (source) {
    auto& queries = lane.links[*source];
    if (queries.empty()) lane.turns.push_back(*source);
    queries.push_back(id);
  } else {
    lane.own.push_back(id);
  }
  ++counts_[source];
  ++size_;
  return false;
}

std::optional<QueryId> QueryOutbox::Lane::dropNewest(Source source) {
  std::optional<QueryId> dropped;
  if (!source) {
    if (own.empty()) return std::nullopt;
    dropped = own.back();
    own.pop_back();
    return dropped;
  }
  const auto queries = links.find(*source);
  if (queries == links.end()) return std::nullopt;
  dropped = queries->second.back();
  queries->second.pop_back();
  if (queries->second.empty()) {
    links.erase(queries);
    std::erase(turns, *source);
  }
  return dropped;
}

// Drops a query of the source whose class is heavier than `kind`.
std::optional<QueryId> QueryOutbox::makeRoom(Source source, unsigned kind) {
  for (auto lane = lanes_.rbegin(); lane != lanes_.rend() && lane->first > kind; ++lane) {
    const auto dropped = lane->second.dropNewest(source);
    if (!dropped) continue;
    if (lane->second.empty()) lanes_.erase(lane->first);
    leave(source);
    return dropped;
  }
  return std::nullopt;
}

void QueryOutbox::leave(Source source) {
  const auto count = counts_.find(source);
  if (--count->second == 0) counts_.erase(count);
  --size_;
}

QueryId QueryOutbox::take(Lane& lane) {
  wasOwn_ = !lane.own.empty() && (!wasOwn_ || lane.turns.empty());
  if (wasOwn_) {
    const auto id = lane.own.front();
    lane.own.pop_front();
    leave(std::nullopt);
    return id;
  }
  const auto source = lane.turns.front();
  lane.turns.pop_front();
  const auto queries = lane.links.find(source);
  const auto id = queries->second.front();
  queries->second.pop_front();
  if (queries->second.empty()) {
    lane.links.erase(queries);
  } else {
    lane.turns.push_back(source);
  }
  leave(source);
  return id;
}

std::optional<QueryId> QueryOutbox::next(TimePoint now) {
  if (size_ == 0 || !takeToken(now)) return std::nullopt;
  const auto lane = lanes_.begin();
  const auto id = take(lane->second);
  if (lane->second.empty()) lanes_.erase(lane);
  return id;
}

}  // namespace espalier::peer
