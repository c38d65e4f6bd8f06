#include "common/net/connection_costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/net/event_loop.h"
#include "common/net/framed_connection.h"

namespace espalier::net {
namespace {

using limits::Held;

// An honest guest has joined by then.
constexpr auto kGuestLeast = std::chrono::seconds(1);
constexpr auto kSweepInterval = std::chrono::seconds(1);

// Who holds most loses first.
std::uint64_t rankOf(std::uint32_t bytes) {
  return std::numeric_limits<std::uint32_t>::max() - bytes;
}
// Who came first loses first.
std::uint64_t rankOf(TimePoint since) {
  return static_cast<std::uint64_t>(since.time_since_epoch().count());
}

}  // namespace

bool ConnectionCosts::chargeGuest(FramedConnection& connection) {
  return charge(connection, {Held::guests, guests_, connection.charges_.guest}, 1,
                rankOf(Clock::now()));
}

bool ConnectionCosts::chargeQueue(FramedConnection& connection) {
  const auto bytes = static_cast<std::uint32_t>(connection.queue_.capacityBytes());
  if (bytes == connection.charges_.queuedBytes) return true;  // nearly always
  return charge(connection, {Held::queuedBytes, queued_, connection.charges_.queuedBytes}, bytes,
                rankOf(bytes));
}

bool ConnectionCosts::chargeReceived(FramedConnection& connection) {
  const auto bytes = receivedBy(connection);
  if (bytes <= connection.charges_.receivedBytes) return true;
  if (received_.isEmpty()) loop_.setTimer(*this, Clock::now() + kSweepInterval);
  return charge(connection, {Held::receivedBytes, received_, connection.charges_.receivedBytes},
                bytes, rankOf(bytes));
}

std::uint32_t ConnectionCosts::receivedBy(const FramedConnection& connection) {
  const auto& reader = connection.reader_;
  return reader.rest().empty() ? 0 : static_cast<std::uint32_t>(reader.capacityBytes());
}

bool ConnectionCosts::charge(FramedConnection& connection, Resource resource, std::uint32_t amount,
                             std::uint64_t rank) {
  auto& [what, shares, charged] = resource;
  if (amount == charged) return true;
  const Payer payer = connection.account_.payer();
  shares.set(connection.id(), payer, amount, rank);
  if (amount < charged) {
    connection.account_.giveBack(what, charged - amount);
    charged = amount;
    return true;
  }
  while (!connection.account_.take(what, amount - charged)) {
    const bool payerHasRoom = connection.account_.hasRoom(what, amount - charged);
    const auto found = payerHasRoom ? shares.loser() : shares.loserOf(payer);
    FramedConnection* loser = found ? loop_.find(found->connection) : nullptr;
    if (loser == nullptr) loser = &connection;
    closeLoser(*loser, what);
    if (loser == &connection) return false;
  }
  charged = amount;
  return true;
}

void ConnectionCosts::closeLoser(FramedConnection& loser, Held what) {
  const auto& charges = loser.charges_;
  std::string why = "nobody joined on it, and others want to connect";
  if (what == Held::queuedBytes) {
    why =
        fmt::format("it reads too slowly: {} were waiting for it",
                    formatSize(std::max<std::uint64_t>(charges.queuedBytes, loser.queue_.size())));
  } else if (what == Held::receivedBytes) {
    why = fmt::format("it sent {} that are not read yet", formatSize(receivedBy(loser)));
  }
  log::warning(loser.account_.payer(), "closed a connection of {}: {}", loser.remote().text(), why);
  loser.close({ErrorCode::unavailable, fmt::format("{}: {}", loser.remote().text(), why)});
}

void ConnectionCosts::admit(FramedConnection& connection, Account member) {
  auto& charges = connection.charges_;
  Account before = std::exchange(connection.account_, std::move(member));
  if (charges.guest > 0) {
    before.giveBack(Held::guests, std::exchange(charges.guest, 0));
    guests_.remove(connection.id());
  }
  const Payer payer = connection.account_.payer();
  if (charges.queuedBytes > 0) {
    before.moveTo(connection.account_, Held::queuedBytes, charges.queuedBytes);
    queued_.set(connection.id(), payer, charges.queuedBytes, rankOf(charges.queuedBytes));
  }
  if (charges.receivedBytes > 0) {
    before.moveTo(connection.account_, Held::receivedBytes, charges.receivedBytes);
    received_.set(connection.id(), payer, charges.receivedBytes, rankOf(charges.receivedBytes));
  }
}

void ConnectionCosts::release(FramedConnection& connection) {
  const auto release = [&](Held what, Shares& shares, std::uint32_t& charged) {
    shares.remove(connection.id());
    if (charged > 0) connection.account_.giveBack(what, std::exchange(charged, 0));
  };
  auto& charges = connection.charges_;
  release(Held::guests, guests_, charges.guest);
  release(Held::queuedBytes, queued_, charges.queuedBytes);
  release(Held::receivedBytes, received_, charges.receivedBytes);
}

bool ConnectionCosts::closeOldestGuest() {
  const auto oldest = guests_.loser();
  if (!oldest || rankOf(Clock::now() - kGuestLeast) < oldest->rank) return false;
  FramedConnection* guest = loop_.find(oldest->connection);
  if (guest == nullptr) return false;
  closeLoser(*guest, Held::guests);
  return true;
}

// The sweep over what was received.
void ConnectionCosts::onTimer(TimePoint now) {
  std::vector<ConnectionId> connections;
  received_.forEach([&](ConnectionId connection) { connections.push_back(connection); });
  for (const ConnectionId id : connections) {
    FramedConnection* connection = loop_.find(id);
    if (connection == nullptr || !connection->isReading()) continue;
    const TimePoint since = connection->frameSince_;
    if (since != kNever && now - since >= limits::kFrameTimeout) {
      connection->close(
          {ErrorCode::timeout, fmt::format("{} sent the begin of a frame, and not the "
                                           "rest of it",
                                           connection->remote().text())});
      continue;
    }
    const auto bytes = std::min(receivedBy(*connection), connection->charges_.receivedBytes);
    (void)charge(*connection, {Held::receivedBytes, received_, connection->charges_.receivedBytes},
                 bytes, rankOf(bytes));
  }
  if (!received_.isEmpty()) loop_.setTimer(*this, now + kSweepInterval);
}

}  // namespace espalier::net
