#include "metaserver/core/cluster/remote_sessions.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/session_ids.h"

namespace espalier::metaserver::cluster {
namespace {

// Calls `take` with those that are for another metaserver, and keeps the others, in their order.
template <typename Item, typename Connection, typename Take>
void takeTunnelled(std::vector<Item>& items, Connection connectionOf, Take take) {
  auto end = items.begin();
  for (Item& item : items) {
    if (isTunnelled(connectionOf(item))) {
      take(item);
    } else {
      if (&*end != &item) *end = std::move(item);
      ++end;
    }
  }
  items.erase(end, items.end());
}

}  // namespace

void RemoteSessions::received(ServerNumber home, const wire::SessionMessage& message, TimePoint now,
                              Effects& fx, Messages& messages) {
  std::visit([&](const auto& one) { take(home, one, now, fx, messages); }, message);
  translate(now, fx, messages);
}

bool RemoteSessions::open(ConnectionId connection, const std::string& host, TimePoint now,
                          Effects& fx, Messages& messages) {
  // The home has begun again, or has lost this master and found it again.
  if (open_.erase(connection) > 0) registry_.homeLost(connection, now, fx);
  const bool hasForm = !host.empty() && host.size() <= limits::kHostBytes;
  if (hasForm && open_.size() < limits::kMembers) {
    open_.insert(connection);
    return true;
  }
  messages.push_back({homeOf(connection), wire::SessionClosed{sessionOf(connection)}});
  return false;
}

void RemoteSessions::take(ServerNumber home, const wire::SessionOpened& opened, TimePoint now,
                          Effects& fx, Messages& messages) {
  const auto connection = tunnelled(home, opened.session);
  if (!connection || !open(*connection, opened.host, now, fx, messages)) return;
  registry_.opened(*connection, opened.host, now);
}

void RemoteSessions::take(ServerNumber home, const wire::SessionResumed& resumed, TimePoint now,
                          Effects& fx, Messages& messages) {
  const auto connection = tunnelled(home, resumed.session);
  if (!connection || !open(*connection, resumed.host, now, fx, messages)) return;
  registry_.resumed(*connection, resumed, now, fx);
}

void RemoteSessions::take(ServerNumber home, const wire::SessionRequest& request, TimePoint now,
                          Effects& fx, Messages&) {
  const auto connection = tunnelled(home, request.session);
  if (!connection || !open_.contains(*connection)) return;
  registry_.received(*connection, request.request, now, fx);
}

void RemoteSessions::take(ServerNumber home, const wire::SessionEnded& ended, TimePoint now,
                          Effects& fx, Messages&) {
  const auto connection = tunnelled(home, ended.session);
  if (!connection || open_.erase(*connection) == 0) return;
  registry_.closed(*connection, now, fx);
}

void RemoteSessions::homeGone(ServerNumber home, TimePoint now, Effects& fx, Messages& messages) {
  const auto first = open_.lower_bound(*tunnelled(home, wire::SessionId{1}));
  auto next = first;
  for (; next != open_.end() && homeOf(*next) == home; ++next) registry_.homeLost(*next, now, fx);
  open_.erase(first, next);
  translate(now, fx, messages);
}

// The registry learns that a connection is closed after it has asked for it, as it does from the
// shell for others.
void RemoteSessions::translate(TimePoint now, Effects& fx, Messages& messages) {
  for (;;) {
    takeTunnelled(
        fx.sends, [](const Send& send) { return send.to; },
        [&](Send& send) {
          if (!open_.contains(send.to)) return;
          messages.push_back(
              {homeOf(send.to), wire::SessionReply{sessionOf(send.to), std::move(send.reply)}});
        });
    takeTunnelled(
        fx.readings, [](const Reading& reading) { return reading.from; },
        [&](const Reading& reading) {
          if (!open_.contains(reading.from)) return;
          messages.push_back({homeOf(reading.from),
                              wire::SessionReading{sessionOf(reading.from), reading.goesOn}});
        });
    std::vector<ConnectionId> closed;
    takeTunnelled(
        fx.closes, [](ConnectionId connection) { return connection; },
        [&](ConnectionId connection) {
          if (open_.erase(connection) == 0) return;
          messages.push_back({homeOf(connection), wire::SessionClosed{sessionOf(connection)}});
          closed.push_back(connection);
        });
    if (closed.empty()) return;
    for (const ConnectionId connection : closed) registry_.closed(connection, now, fx);
  }
}

}  // namespace espalier::metaserver::cluster
