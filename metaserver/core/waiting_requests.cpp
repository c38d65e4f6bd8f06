#include "metaserver/core/waiting_requests.h"

#include <algorithm>
#include <chrono>
#include <variant>

#include "common/base/limits.h"

namespace espalier::metaserver {
namespace {

using namespace std::chrono_literals;
using limits::Rate;

constexpr auto kTurn = 10ms;           // tuning: sessions that wait are looked at that often
constexpr double kMovedPerUnit = 500;  // peers whose depth changes, for a unit of registryChanges

std::size_t index(Rate what) {
  return static_cast<std::size_t>(what);
}

struct Price {
  Rate what;
  double amount;
};

Price priceOf(const wire::RegistryRequest& request) {
  constexpr double kPage = 20;  // of the topology costs about so much more than a heartbeat
  if (std::holds_alternative<wire::Join>(request)) return {Rate::registryJoins, 1};
  if (const auto* wanted = std::get_if<wire::TopologyRequest>(&request)) {
    return {Rate::registryRequests, wanted->id.empty() ? kPage : 1};
  }
  if (std::holds_alternative<wire::StatisticsRequest>(request)) return {Rate::statistics, 1};
  if (const auto* room = std::get_if<wire::RoomRequest>(&request)) {
    // A list of rooms is told to all metaservers, and to the members of 32 rooms.
    if (std::holds_alternative<wire::RoomsWanted>(*room)) return {Rate::registryChanges, 5};
    constexpr double kSay = 10;  // it is written and synced; the home has a rate of its own
    return {Rate::registryRequests, std::holds_alternative<wire::RoomSay>(*room) ? kSay : kPage};
  }
  if (std::holds_alternative<wire::RoomListRequest>(request) ||
      std::holds_alternative<wire::RoomWhoRequest>(request)) {
    return {Rate::registryRequests, kPage};
  }
  const bool changesTree = std::holds_alternative<wire::Links>(request) ||
                           std::holds_alternative<wire::Seek>(request) ||
                           std::holds_alternative<wire::PortTaken>(request);
  return {changesTree ? Rate::registryChanges : Rate::registryRequests, 1};
}

}  // namespace

bool WaitingRequests::admit(const Sender& sender, const wire::RegistryRequest& request,
                            TimePoint now, Effects& fx) {
  const ConnectionId connection = sender.connection;
  if (const auto waiting = sessions_.find(connection); waiting != sessions_.end()) {
    auto& requests = waiting->second.requests;
    if (requests.size() < limits::kWaitingRequests) {
      requests.push_back(request);
    } else {
      fx.sends.push_back({connection, wire::Failure{ErrorCode::refused, "too many requests"}});
      fx.closes.push_back(connection);
    }
    return false;
  }
  const bool byAddress = sender.member == nullptr || std::holds_alternative<wire::Join>(request);
  Account payer =
      budget_.account(byAddress ? Payer::host(sender.host) : Payer::member(*sender.member));
  const Price price = priceOf(request);
  const bool goesFirst = crowded_[index(price.what)] == 0;
  if (goesFirst && payer.spend(price.what, now, price.amount)) return true;
  Session& session = sessions_[connection];
  session.payer = std::move(payer);
  session.requests.push_back(request);
  giveTurn(connection, session, now);
  fx.readings.push_back({connection, false});
  return false;
}

void WaitingRequests::giveTurn(ConnectionId connection, Session& session, TimePoint now) {
  const Price price = priceOf(session.requests.front());
  const TimePoint at = session.payer.affordableAt(price.what, now, price.amount);
  session.turn = {std::max<TimePoint>(at, now + kTurn), ++lastTurn_, connection};
  turns_.insert(session.turn);
  session.isCrowded = all_.affordableAt(price.what, now, price.amount) > now;
  if (session.isCrowded) ++crowded_[index(price.what)];
}

void WaitingRequests::endTurn(Session& session) {
  turns_.erase(session.turn);
  if (session.isCrowded) --crowded_[index(priceOf(session.requests.front()).what)];
  session.isCrowded = false;
}

void WaitingRequests::moved(const PeerId& member, std::uint64_t peers, TimePoint now) {
  if (peers == 0) return;
  budget_.account(Payer::member(member))
      .owe(Rate::registryChanges, now, static_cast<double>(peers) / kMovedPerUnit);
}

std::optional<WaitingRequests::Due> WaitingRequests::takeDue(TimePoint now, Effects& fx) {
  while (!turns_.empty() && turns_.begin()->at <= now) {
    const ConnectionId connection = turns_.begin()->connection;
    const auto found = sessions_.find(connection);
    Session& session = found->second;
    endTurn(session);
    const Price price = priceOf(session.requests.front());
    if (!session.payer.spend(price.what, now, price.amount)) {
      giveTurn(connection, session, now);
      continue;
    }
    Due due{connection, std::move(session.requests.front())};
    session.requests.pop_front();
    if (session.requests.empty()) {
      sessions_.erase(found);
      fx.readings.push_back({connection, true});
    } else {
      giveTurn(connection, session, now - kTurn);  // the next one may be paid, too
    }
    return due;
  }
  return std::nullopt;
}

void WaitingRequests::remove(ConnectionId connection) {
  const auto found = sessions_.find(connection);
  if (found == sessions_.end()) return;
  endTurn(found->second);
  sessions_.erase(found);
}

}  // namespace espalier::metaserver
