// The addresses at which a peer looks for the metaservers of its network: which one it dials next,
// and how long it waits before that.
//
//   given   by the user; never forgotten
//   told    by the home; replaced by what a home tells next
//   home    where this peer was admitted last; kept until it is admitted elsewhere
//   former  the home before that one, as the last of the told ones if there is room: it may be back
//           when the home, which does not tell of dead ones, is not any more
//   sent    where a metaserver sent this peer; forgotten with the next dial, unless it is the home
//
//   at home --homeLost()--> each of the others, then the home --all tried--> any, in turn
//      ^                         |                                              |
//      +------ admitted() -------+----------------------------------------------+
//
// A list of one address is that of a peer of a single metaserver: the pauses are those of the
// backoff, limits::kReconnectLeast to kReconnectMost.
//
// With several, the first try after the home's death comes within limits::kHomeLostSpread, because
// all peers of the home look for another one at once. The next tries follow kReconnectLeast after
// each other until each address was tried. Such a try in haste has to be earned: one in the mean of
// the backoff's pauses, and at most limits::kMetaserversKnown are saved up. So in a time T a peer
// dials at most kMetaserversKnown times more than a peer of a single metaserver that is gone.
//
// What a metaserver tells may be false: the addresses of others' services, at which many peers are
// to knock at once. Therefore
//   - it tells limits::kMetaserversTold addresses at most, and what it tells never displaces what
//     the user gave;
//   - an address that stands for no machine is left out, and so is loopback unless the metaserver
//     that tells it is on this machine;
//   - a told address where this peer is not admitted is left alone for limits::kToldRetryLeast,
//     then twice as long, up to kToldRetryMost, also if it is told again;
//   - the rate above holds for all dials together, whatever is told how often.
// Until the other end has sent its Welcome, it gets nothing but a Hello (common/net/handshake.h).
//
// Invariants: 1 to limits::kMetaserversKnown addresses, no two alike; those that were given come
// first, in their order. Part of MetaserverSession. Does no I/O, not thread-safe. Every call is
// linear in the number of addresses, tell() quadratic.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/random.h"

namespace espalier::peer {

class MetaserverList {
 public:
  struct Address {
    Endpoint at;
    bool isGiven = false;
    bool isTried = true;       // since the home was lost, or since startOver()
    Duration pause{};          // of a told one: for how long it was left alone last
    TimePoint notBefore = {};  // until then it is left alone
    bool isTold = false;
  };

  // `given`: at least one. Repeated ones, and those beyond limits::kMetaservers, are left out.
  explicit MetaserverList(const std::vector<Endpoint>& given);

  // The address to dial now. It counts as tried.
  const Address& next(TimePoint now);
  // The one that next() returned last.
  const Address& dialled() const { return all_[dialled_]; }
  // When to dial next, after the last dial has failed or the home was lost.
  TimePoint nextAt(TimePoint now, Random& random);

  // This peer was admitted at the dialled address: it is the home now. `wasSent`: a home had sent
  // it there.
  void admitted(bool wasSent = false);
  // It was not, or the connection was lost before.
  void failed(TimePoint now);
  // The home is gone.
  void homeLost();
  // What is dialled belongs to another network.
  void isOfAnotherNetwork(TimePoint now);
  // The user asks for another round over what was given, by a peer that is in no network.
  void startOver();
  // Whether this peer may be sent there: it is not left alone, a dial in haste is earned, and a
  // metaserver can be there. `isHere`: who sends it is on this machine.
  bool maySendTo(const Endpoint& to, bool isHere, TimePoint now) const;
  // It is dialled now.
  void sentTo(const Endpoint& to, TimePoint now);
  // The home is kept: it is the one that was dialled last again.
  void stayedHome();
  // Whether startOver() or homeLost() left an address that can be dialled and was not tried.
  bool hasUntried(TimePoint now) const;

  // The home tells the other metaservers of the network. `isHere`: it is on this machine.
  void tell(const std::vector<Endpoint>& others, bool isHere);

  std::size_t size() const { return all_.size(); }
  const std::vector<Address>& all() const { return all_; }
  // The home; before there is one, the first that was given.
  const Endpoint& home() const { return home_ ? *home_ : all_.front().at; }

 private:
  bool mayHasten(TimePoint now) const { return now >= paidUntil_; }
  void pay(TimePoint now);
  void forgetSent();
  void keepFormer();
  std::optional<std::size_t> find(const Endpoint& at) const;

  std::vector<Address> all_;
  std::size_t dialled_;
  std::optional<Endpoint> home_;
  std::optional<Endpoint> former_;
  bool isFirstTry_ = false;  // since the home was lost
  TimePoint paidUntil_;      // tries in haste are paid for from then on
};

}  // namespace espalier::peer
