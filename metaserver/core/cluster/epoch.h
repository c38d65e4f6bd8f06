// Epochs, and the orders of joining that the master of an epoch gives. An order of joining is
//
//   bit 63  62 … 40   39 … 24  23 … 0
//     0     counter   number   running      prefix = (counter, number), an Epoch
//
// so that no two members ever have the same one, also after a cut: a prefix has the number of the
// metaserver that opened it, and each metaserver opens a prefix once. The founder's prefix is (0,
// 0): a first network counts 1, 2, 3 …
//
//   a new master:   prefix = its epoch
//   used up:        prefix = prefixAfter(), which becomes its epoch, too, if it is higher
//   a restart:      the prefix stays, behind the block of orders that was reserved
//
// Invariant that callers keep: no order is given whose prefix is above the epoch of who gives it.
// nextEpoch() of the highest known epoch is then above all known prefixes, so nobody opens a prefix
// twice.
//
// The counter has 23 bits: one change of masters a minute uses them up in 15 years. Then there is
// no next epoch. Pure functions, O(1).
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/ids.h"
#include "common/base/limits.h"

namespace espalier::metaserver::cluster {

using espalier::Epoch;

inline constexpr unsigned kCounterBits = 23;
inline constexpr unsigned kNumberBits = 16;
using espalier::kRunningBits;
inline constexpr std::uint32_t kRunningLast = (1u << kRunningBits) - 1;

static_assert(kCounterBits + kNumberBits + kRunningBits == 63, "an order fits an int64_t");
static_assert(limits::kEpochCounter == (1u << kCounterBits) - 1);
static_assert(sizeof(ServerNumber) * 8 == kNumberBits);
static_assert(limits::kMembers <= kRunningLast, "a network fits one prefix");

// The parts of an order. Split orders of the network only if they are at most 2^63 - 1: bit 63 is
// ignored.
struct OrderParts {
  Epoch prefix;
  std::uint32_t running = 0;  // 1 to kRunningLast

  bool operator==(const OrderParts&) const = default;
};

// Nothing if a part is out of its range. The largest order is 2^63 - 1.
constexpr std::optional<JoinOrder> orderOf(const OrderParts& parts) {
  if (parts.prefix.counter > limits::kEpochCounter) return std::nullopt;
  if (parts.running == 0 || parts.running > kRunningLast) return std::nullopt;
  return JoinOrder{std::uint64_t{parts.prefix.counter} << (kNumberBits + kRunningBits) |
                   std::uint64_t{number(parts.prefix.number)} << kRunningBits | parts.running};
}

constexpr OrderParts partsOf(JoinOrder order) {
  const std::uint64_t bits = number(order);
  return {{static_cast<std::uint32_t>(bits >> (kNumberBits + kRunningBits)) & limits::kEpochCounter,
           ServerNumber{static_cast<std::uint16_t>(bits >> kRunningBits)}},
          static_cast<std::uint32_t>(bits) & kRunningLast};
}

constexpr Epoch prefixOf(JoinOrder order) {
  return partsOf(order).prefix;
}

// The next order of joining when all are used up: nobody gets it.
inline constexpr JoinOrder kNoOrderLeft{limits::kJoinOrder + 1};

// The first epoch of a new master: above `highest`, which is the highest that it has seen. Nothing
// if the counter is used up.
constexpr std::optional<Epoch> nextEpoch(const Epoch& highest, ServerNumber self) {
  if (highest.counter >= limits::kEpochCounter) return std::nullopt;
  return Epoch{highest.counter + 1, self};
}

// The prefix that the master of `epoch` opens when its own `prefix` is used up: its epoch if that
// is higher, else the next counter. Nothing if the counter is used up.
constexpr std::optional<Epoch> prefixAfter(const Epoch& prefix, const Epoch& epoch) {
  if (prefix < epoch) return epoch;
  return nextEpoch(prefix, epoch.number);
}

// The order behind `last`, which the master of `epoch` gave (or that its reserved block ends with).
// If the running number is used up, it is the first of the next prefix: if that is above `epoch`,
// it is the master's new epoch, before the order is used. Nothing if all are used up.
constexpr std::optional<JoinOrder> orderAfter(JoinOrder last, const Epoch& epoch) {
  const OrderParts parts = partsOf(last);
  if (parts.running < kRunningLast) return orderOf({parts.prefix, parts.running + 1});
  const auto prefix = prefixAfter(parts.prefix, epoch);
  return prefix ? orderOf({*prefix, 1}) : std::nullopt;
}

static_assert(orderOf({{0, kNoServer}, 1}) == JoinOrder{1}, "the founder counts from 1");
static_assert(orderOf({{limits::kEpochCounter, ServerNumber{0xffff}}, kRunningLast}) ==
              JoinOrder{limits::kJoinOrder});

}  // namespace espalier::metaserver::cluster
