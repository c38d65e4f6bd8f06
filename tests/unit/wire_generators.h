// Random valid messages for property tests. Texts are mostly short, and sometimes of the largest
// size that is allowed, because errors are likely at the bounds.
#pragma once

#include <fmt/format.h>
#include <rapidcheck.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/limits.h"
#include "common/crypto/instance.h"
#include "common/wire/link.h"
#include "common/wire/registry.h"

namespace espalier::test {

inline std::string textOf(std::size_t least, std::size_t most) {
  const auto size = *rc::gen::weightedOneOf<std::size_t>(
      {{9, rc::gen::inRange<std::size_t>(least, std::min<std::size_t>(most, least + 12) + 1)},
       {1, rc::gen::just(most)}});
  return *rc::gen::container<std::string>(size, rc::gen::elementOf(std::string("abcXYZ019_-.+")));
}

inline std::string bytesOf(std::size_t least, std::size_t most) {
  const auto size = *rc::gen::inRange<std::size_t>(least, most + 1);
  return *rc::gen::container<std::string>(size, rc::gen::arbitrary<char>());
}

template <typename Id>
Id rawOf() {
  return *Id::fromRaw(*rc::gen::container<std::string>(Id::kSizeBytes, rc::gen::arbitrary<char>()));
}

// The ends of a range, and values between them.
template <typename Number>
Number numberOf(Number least, Number most) {
  return *rc::gen::oneOf(rc::gen::just(least), rc::gen::just(most),
                         rc::gen::inRange<Number>(least, most));
}

inline PeerId someId() {
  return *PeerId::parse("p" + textOf(0, limits::kPeerIdBytes - 1));
}

// The longest text that is allowed.
inline std::string longHost() {
  std::string host;
  while (host.size() + 64 <= limits::kHostBytes) host += std::string(63, 'h') + '.';
  return host + std::string(limits::kHostBytes - host.size(), 'h');
}

inline std::string someHost() {
  const auto part = [] { return std::to_string(numberOf(0, 255)); };
  const auto group = [] {
    return *rc::gen::container<std::string>(numberOf<std::size_t>(1, 4),
                                            rc::gen::elementOf(std::string("0123456789abcdefAF")));
  };
  switch (numberOf(0, 4)) {
    case 0:
      return part() + "." + part() + "." + part() + "." + part();
    case 1:
      return group() + ":" + group() + "::" + group();
    case 2:
      return "::ffff:" + part() + "." + part() + "." + part() + "." + part();
    case 3:
      return longHost();
    default:
      return "a" +
             *rc::gen::container<std::string>(numberOf<std::size_t>(0, 12),
                                              rc::gen::elementOf(std::string("abXYZ019-"))) +
             "z.example";
  }
}

inline wire::Contact someContact() {
  return {someId(),
          JoinOrder{numberOf<std::uint64_t>(1, limits::kJoinOrder)},
          {someHost(), numberOf<std::uint16_t>(1, 65535)},
          *rc::gen::arbitrary<bool>() ? rawOf<InstanceHash>() : InstanceHash()};
}

inline std::vector<wire::Contact> someContacts(std::size_t most) {
  std::vector<wire::Contact> contacts(numberOf<std::size_t>(0, most));
  for (auto& contact : contacts) contact = someContact();
  return contacts;
}

inline std::optional<PeerId> maybeId() {
  return *rc::gen::arbitrary<bool>() ? std::optional(someId()) : std::nullopt;
}

inline std::vector<PeerId> someIds(std::size_t most) {
  std::vector<PeerId> ids(numberOf<std::size_t>(0, most));
  for (auto& id : ids) id = someId();
  return ids;
}

inline std::uint64_t someMembers() {
  return numberOf<std::uint64_t>(1, limits::kMembers);
}

inline wire::Label someLabel() {
  return {numberOf<std::uint64_t>(0, limits::kSequenceNumbers - 1),
          numberOf<std::uint32_t>(0, limits::kDepth)};
}

inline wire::Label someFloor() {
  return *rc::gen::arbitrary<bool>() ? someLabel() : wire::Label();
}

inline wire::Lineage someLineage() {
  wire::Lineage lineage{someContact(), someContacts(limits::kContacts), {}};
  lineage.rootChildren = someContacts(limits::kContacts - lineage.ancestors.size());
  return lineage;
}

inline wire::Query someQuery() {
  return {rawOf<QueryId>(), static_cast<PatternKind>(numberOf(1, 5)),
          bytesOf(1, 40),   std::chrono::milliseconds(numberOf<std::int64_t>(0, 60'000)),
          someId(),         numberOf<std::uint32_t>(0, ~0u)};
}

inline std::vector<wire::OrderRange> someRanges() {
  std::vector<wire::OrderRange> ranges;
  std::uint64_t last = 0;
  for (int i = numberOf(0, 4); i > 0; --i) {
    const auto first = last + numberOf<std::uint64_t>(1, 1000);
    last = first + numberOf<std::uint64_t>(0, 1000);
    ranges.push_back({first, last});
  }
  return ranges;
}

inline wire::Answer someAnswer() {
  wire::Answer answer;
  answer.id = rawOf<QueryId>();
  for (int i = numberOf(0, 4); i > 0; --i) {
    answer.hits.push_back({"n" + textOf(0, limits::kPathBytes - 1),
                           numberOf<std::uint64_t>(0, limits::kFileBytes), rawOf<FileRoot>(),
                           someId(), someContact().endpoint});
  }
  answer.coverage = someRanges();
  for (const auto& id : someIds(3)) {
    answer.missing.push_back({id, JoinOrder{numberOf<std::uint64_t>(0, limits::kJoinOrder)},
                              numberOf<std::uint64_t>(0, limits::kMembers)});
    answer.more.push_back({id, numberOf<std::uint64_t>(0, limits::kMoreHits)});
    answer.indexing.push_back(id);
  }
  answer.done = *rc::gen::arbitrary<bool>();
  return answer;
}

inline wire::PushOffer somePushOffer() {
  wire::PushOffer offer;
  offer.id = rawOf<PushId>();
  offer.sender = someContact();
  offer.via = someId();
  offer.late = *rc::gen::arbitrary<bool>();
  offer.end = static_cast<wire::PushEnd>(numberOf(0, 2));
  for (int i = numberOf(1, 4); i > 0; --i) {
    offer.files.push_back({"n" + textOf(0, limits::kPathBytes - 1),
                           numberOf<std::uint64_t>(0, limits::kFileBytes), rawOf<FileRoot>()});
  }
  offer.to = someIds(limits::kPushTargets);
  offer.ageSeconds = *rc::gen::arbitrary<std::uint32_t>();
  if (*rc::gen::arbitrary<bool>()) offer.endHash = rawOf<PushEndProof>();
  if (*rc::gen::arbitrary<bool>()) offer.endProof = rawOf<PushEndProof>();
  return offer;
}

inline wire::PushLedger somePushLedger() {
  wire::PushLedger ledger{rawOf<PushId>(), static_cast<wire::PushEnd>(numberOf(0, 2)), {}};
  if (*rc::gen::arbitrary<bool>()) ledger.endProof = rawOf<PushEndProof>();
  for (int i = numberOf(0, 4); i > 0; --i) {
    ledger.entries.push_back({numberOf<std::uint32_t>(0, limits::kLedgerVersion),
                              static_cast<wire::PushState>(numberOf(0, 5)), someContact(),
                              maybeId().value_or(PeerId()), *rc::gen::arbitrary<bool>(),
                              bytesOf(0, limits::kPushReasonBytes)});
  }
  return ledger;
}

inline wire::LinkMessage someLinkMessage() {
  switch (numberOf(0, 14)) {
    case 0:
      return wire::Attach{rawOf<wire::NetworkId>(), someContact(), someFloor(), someMembers(),
                          numberOf(0, 1) == 0 ? wire::LinkSecret() : rawOf<wire::LinkSecret>()};
    case 1:
      return wire::Accepted{someContact(), someLabel(), someMembers(), someLineage()};
    case 2:
      return wire::Referred{someContacts(limits::kMaxLinks)};
    case 3:
      return wire::Held{};
    case 4:
      return wire::Refused{static_cast<wire::RefusalReason>(numberOf(1, 5))};
    case 5:
      return wire::Heartbeat{someLabel(), someMembers()};
    case 6:
      return wire::LineageChanged{someLineage()};
    case 7:
      return wire::Raise{someFloor(), someContact(), someId()};
    case 8:
      return wire::Farewell{};
    case 9:
      return someQuery();
    case 10:
      return someAnswer();
    case 11:
      return wire::PeerExchange{someContacts(limits::kContacts)};
    case 12:
      return somePushOffer();
    case 13:
      return somePushLedger();
    default:
      return wire::Lost{rawOf<QueryId>()};
  }
}

inline std::uint64_t someCount() {
  return numberOf<std::uint64_t>(0, limits::kStatisticsCount);
}

inline wire::Join someJoin() {
  wire::Join join{
      someId(), rawOf<InstanceKey>(), bytesOf(0, limits::kJoinWordBytes), {}, {}, {}, {}, {}};
  if (*rc::gen::arbitrary<bool>()) join.listen.host = someContact().endpoint.host;
  join.listen.port = numberOf<std::uint16_t>(0, 65535);
  if (*rc::gen::arbitrary<bool>()) join.network = rawOf<wire::NetworkId>();
  join.order = JoinOrder{numberOf<std::uint64_t>(0, limits::kJoinOrder)};
  join.parent = maybeId();
  join.neighbours = someIds(limits::kMaxLinks);
  join.generation = numberOf<std::uint32_t>(0, ~0u);
  if (*rc::gen::arbitrary<bool>()) join.instance = crypto::instanceOf(join.key);
  join.since = std::chrono::milliseconds(someCount());
  return join;
}

inline wire::StatisticsSums someSums() {
  return {someCount(), someCount(), someCount(), someCount(), someCount()};
}

inline wire::Statistics someStatistics() {
  wire::Statistics out;
  out.number = *rc::gen::arbitrary<std::uint64_t>();
  out.since = std::chrono::milliseconds(someCount());
  out.open = someCount();
  out.today = someCount();
  out.month = someCount();
  out.total = someSums();
  out.known = numberOf<std::uint32_t>(1, limits::kStatisticsServers);
  out.answered = numberOf<std::uint32_t>(1, out.known);
  for (auto i = numberOf<std::uint32_t>(0, out.known - out.answered); i > 0; --i) {
    out.missing.push_back(*ServerName::parse(fmt::format("m{}", i)));
  }
  for (auto i = numberOf<std::uint32_t>(0, 9); i > 0; --i) {
    out.days.push_back({20'000 - i, someSums()});
  }
  return out;
}

// Of a request.
inline std::uint64_t someNumber() {
  return *rc::gen::arbitrary<std::uint64_t>();
}

inline wire::RegistryRequest someRegistryRequest() {
  switch (numberOf(0, 9)) {
    case 0:
      return someJoin();
    case 1:
      return wire::PortTaken{numberOf<std::uint16_t>(1, 65535)};
    case 2:
      return wire::Links{maybeId(), someIds(limits::kMaxLinks), someNumber()};
    case 3:
      return wire::Seek{maybeId(), maybeId()};
    case 4:
      return wire::RegistryHeartbeat{};
    case 5:
      return wire::TopologyRequest{JoinOrder{numberOf<std::uint64_t>(0, limits::kJoinOrder)},
                                   someNumber(), maybeId().value_or(PeerId())};
    case 6:
      return wire::MembersRequest{someNumber()};
    case 7:
      return wire::Rate{numberOf(1u, 5u), textOf(0, limits::kRatingBytes),
                        numberOf<std::uint64_t>(1, ~0ull)};
    case 8:
      return wire::StatisticsRequest{
          numberOf<std::uint32_t>(0, static_cast<std::uint32_t>(limits::kStatisticsDays)),
          someNumber()};
    default:
      return wire::Quit{};
  }
}

inline wire::Referral someReferral() {
  wire::Referral referral{static_cast<wire::Referral::Kind>(numberOf(1, 3)), {}};
  if (referral.kind == wire::Referral::Kind::below) referral.parent = someContact();
  return referral;
}

inline std::chrono::milliseconds someInterval() {
  return std::chrono::milliseconds(numberOf<std::int64_t>(100, 600'000));
}

inline std::vector<Endpoint> someMetaservers() {
  std::vector<Endpoint> all;
  for (auto i = numberOf<std::size_t>(0, limits::kMetaserversTold); i > 0; --i) {
    all.push_back(someContact().endpoint);
  }
  return all;
}

inline wire::RegistryReply someRegistryReply() {
  switch (numberOf(0, 11)) {
    case 0:
      return wire::Admitted{rawOf<wire::NetworkId>(),
                            someContact(),
                            numberOf(limits::kMinLinks, limits::kMaxLinks),
                            someInterval(),
                            someMembers(),
                            someReferral(),
                            *rc::gen::arbitrary<bool>() ? someContact().endpoint.host : "",
                            someMetaservers(),
                            std::chrono::milliseconds(someCount())};
    case 1:
      return someReferral();
    case 2:
      return wire::Wait{textOf(0, limits::kMessageBytes)};
    case 3:
      return wire::WordRefused{bytesOf(0, limits::kJoinWordBytes)};
    case 4:
      return wire::RegistryHeartbeatReply{someInterval(), textOf(0, limits::kMessageBytes),
                                          someMetaservers()};
    case 5:
      return wire::Members{numberOf<std::uint64_t>(0, limits::kMembers),
                           JoinOrder{numberOf<std::uint64_t>(0, limits::kJoinOrder)}, someNumber(),
                           someRanges()};
    case 6: {
      wire::Topology topology;
      for (int i = numberOf(0, 4); i > 0; --i) {
        topology.entries.push_back({someContact(), maybeId(), someIds(limits::kMaxLinks)});
      }
      topology.more = !topology.entries.empty() && *rc::gen::arbitrary<bool>();
      topology.number = someNumber();
      return topology;
    }
    case 8: {
      auto network = rawOf<wire::NetworkId>();
      network.bytes[0] |= 1;
      return wire::Redirect{someContact().endpoint, network};
    }
    case 9:
      return wire::Rated{someNumber(), *rc::gen::arbitrary<bool>()};
    case 10:
      return someStatistics();
    case 7:
      return wire::Strangers{someNumber(), someIds(limits::kMaxLinks), someIds(limits::kMaxLinks)};
    default:
      return wire::Failure{ErrorCode::refused, textOf(0, limits::kMessageBytes),
                           *rc::gen::arbitrary<bool>(), *rc::gen::arbitrary<bool>()};
  }
}

inline wire::Hello someHello() {
  return {numberOf(0u, wire::kVersionMost), numberOf(wire::kVersionLeast, ~0u),
          static_cast<wire::Purpose>(numberOf(1, 6)), *rc::gen::arbitrary<std::uint64_t>()};
}

}  // namespace espalier::test
