// A registry without sockets, and the peers that speak to it.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>

#include "common/base/limits.h"
#include "metaserver/core/registry.h"
#include "metaserver/core/registry_copy.h"

namespace espalier::metaserver {

inline constexpr TimePoint kStart{std::chrono::hours(1)};

inline PeerId peer(int number) {
  return *PeerId::parse(fmt::format("s{}", number));
}

inline InstanceKey key(int number) {
  InstanceKey made;
  made.bytes[0] = static_cast<std::uint8_t>(number);
  return made;
}

// A metaserver without sockets: connection N is that of peer sN, which comes from `host`.
struct Metaserver {
  explicit Metaserver(Registry::Options options = {})
      : registry((options.network.bytes[0] = 7, std::move(options)), budget, kStart, fx) {}

  ConnectionId connection(int number) { return ConnectionId{static_cast<std::uint64_t>(number)}; }

  // Hands the request in; what is answered to that very connection comes back, if anything is.
  std::optional<wire::RegistryReply> say(int number, const wire::RegistryRequest& request) {
    fx = {};
    registry.received(connection(number), request, now, fx);
    return answer(number);
  }
  std::optional<wire::RegistryReply> answer(int number) {
    std::optional<wire::RegistryReply> found;
    for (const auto& send : fx.sends) {
      if (send.to == connection(number)) found = send.reply;
    }
    return found;
  }
  std::optional<wire::RegistryReply> join(int number, wire::Join with = {}) {
    registry.opened(connection(number), host, now);
    with.id = peer(number);
    if (with.key == InstanceKey()) with.key = key(number);
    if (with.word.empty()) with.word = "P2P";
    return say(number, with);
  }
  wire::Admitted admit(int number, wire::Join with = {}) {
    const auto reply = join(number, std::move(with));
    REQUIRE(reply);
    const auto* admitted = std::get_if<wire::Admitted>(&*reply);
    REQUIRE(admitted);
    return *admitted;
  }
  // Joins, and takes the place that it was given: both ends report the link.
  wire::Admitted joinAndReport(int number) {
    const auto admitted = admit(number);
    if (admitted.referral.kind != wire::Referral::Kind::below) return admitted;
    const auto& parent = admitted.referral.parent.id;
    links[parent].neighbours.push_back(peer(number));
    links[peer(number)] = {parent, {parent}};
    for (int other = 1; other < 100; ++other) {
      if (peer(other) == parent) say(other, links[parent]);
    }
    say(number, links[peer(number)]);
    return admitted;
  }
  std::string topo() const {
    std::string text;
    bool more = false;
    for (const auto& entry : registry.entries(kNoOrder, SIZE_MAX, more)) {
      text += entry.member.id.text() + ":";
      for (const auto& neighbour : entry.neighbours) text += " " + neighbour.text();
      text += "\n";
    }
    return text;
  }
  // What the state file would have.
  std::vector<Remembered> remembered() {
    for (bool more = true; more;) {
      auto changes = registry.takeChanges(limits::kMembers);
      more = changes.more;
      copy.apply(std::move(changes));
    }
    return copy.remembered(registry.lostLately(limits::kMembers));
  }
  void pass(Duration time) {
    now += time;
    fx = {};
    registry.tick(now, fx);
  }

  Effects fx;
  TimePoint now = kStart;
  std::string host = "127.0.0.1";
  Budget budget;
  Registry registry;
  std::map<PeerId, wire::Links> links;
  RegistryCopy copy;
};

}  // namespace espalier::metaserver
