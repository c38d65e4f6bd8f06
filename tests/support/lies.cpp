#include "tests/support/lies.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::test {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kMadeUp = 64;     // ids that nobody has
constexpr std::size_t kHitsTold = 40;     // of an answer
constexpr std::uint64_t kRaise = 8192;    // of a version
constexpr std::size_t kEntriesTold = 24;  // of a ledger

std::string fileOf(const Facts& facts, const PeerId& id) {
  std::string name = facts.name;
  const auto place = name.find("{}");
  if (place != std::string::npos) name.replace(place, 2, id.text());
  return name;
}

}  // namespace

// --- about peers

// Of a request: often the same, and often none.
std::uint64_t Lies::requestNumber() {
  return below_(oneIn(4) ? 1000 : 4);
}

JoinOrder Lies::order() {
  switch (below_(4)) {
    case 0:
      return JoinOrder{1 + below_(4)};  // older than most
    case 1:
      return JoinOrder{1 + below_(limits::kJoinOrder)};
    default:
      return member().order;
  }
}

Endpoint Lies::endpoint() {
  if (oneIn(2)) return member().endpoint;
  return {facts_.self.endpoint.host, static_cast<std::uint16_t>(1 + below_(12))};  // nobody's
}

wire::Contact Lies::member() {
  return facts_.members[below_(facts_.members.size())];
}

wire::Contact Lies::contact() {
  wire::Contact contact = member();
  switch (below_(4)) {
    case 0:
      return contact;
    case 1:
      contact.endpoint = endpoint();
      return contact;
    case 2:
      contact.order = order();
      return contact;
    default:
      return {*PeerId::parse("x" + std::to_string(below_(kMadeUp))), order(), endpoint()};
  }
}

std::vector<wire::Contact> Lies::contacts(std::size_t most) {
  std::vector<wire::Contact> contacts(below_(most + 1));
  for (auto& each : contacts) each = contact();
  return contacts;
}

wire::Label Lies::label() {
  wire::Label label = facts_.label;
  switch (below_(4)) {
    case 0:
      label.sequence += below_(4);
      break;
    case 1:
      label.sequence += below_(limits::kSequenceJump);
      break;
    case 2:
      label.sequence = below_(limits::kSequenceNumbers);
      break;
    default:
      break;
  }
  label.sequence = std::min(label.sequence, limits::kSequenceNumbers - 1);
  label.depth = static_cast<std::uint32_t>(below_(oneIn(4) ? limits::kDepth : 4));
  return label;
}

wire::Lineage Lies::lineage() {
  wire::Lineage lineage;
  lineage.root = contact();
  lineage.ancestors = contacts(limits::kContacts - limits::kRootChildren);
  lineage.rootChildren = contacts(limits::kRootChildren);
  return lineage;
}

// --- searches

QueryId Lies::queryId() {
  if (facts_.queries.empty() || oneIn(16)) return bytes<QueryId>();
  return facts_.queries[below_(facts_.queries.size())];
}

FileRoot Lies::root() {
  FileRoot root;
  root.bytes.fill(static_cast<std::uint8_t>(1 + below_(3)));
  return root;
}

wire::Query Lies::query() {
  wire::Query query;
  query.id = oneIn(4) ? queryId() : bytes<QueryId>();
  query.kind = static_cast<PatternKind>(1 + below_(3));
  query.text = oneIn(4) ? "*a*a*a*" : "file";
  query.budget = std::chrono::milliseconds(below_(60'000));
  query.asker = id();
  query.hopsLeft = static_cast<std::uint32_t>(below_(oneIn(2) ? 4 : limits::kMembers));
  return query;
}

wire::Hit Lies::hit() {
  wire::Hit hit;
  const auto holder = contact();
  hit.holder = holder.id;
  hit.name = oneIn(4) ? "file junk " + std::to_string(below_(4096)) : fileOf(facts_, member().id);
  if (oneIn(16)) hit.name = "unasked";
  hit.sizeBytes = 1 + below_(oneIn(2) ? 4 : limits::kFileBytes);
  hit.root = root();
  hit.endpoint = oneIn(3) ? Endpoint{"0.0.0.0", 9} : endpoint();
  hit.partial = oneIn(4);
  return hit;
}

void Lies::addHits(wire::Answer& answer) {
  const auto count = below_(kHitsTold);
  for (std::uint64_t i = 0; i < count && answer.hits.size() < 2 * kHitsTold; ++i) {
    answer.hits.push_back(hit());
  }
  if (oneIn(2)) answer.more.push_back({id(), below_(1ull << 40)});
}

void Lies::addCoverage(wire::Answer& answer) {
  std::vector<wire::OrderRange> ranges = answer.coverage;
  const bool fragments = oneIn(2);
  const auto count = fragments ? below_(1000) : below_(4);
  auto at = fragments ? 1 + below_(limits::kJoinOrder / 2) : 1 + below_(40);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto last = at + (fragments ? 0 : below_(20));
    ranges.push_back({at, last});
    at = last + 2 + below_(3);
  }
  // Ascending and disjoint, as the codec demands.
  std::sort(ranges.begin(), ranges.end());
  answer.coverage.clear();
  for (const auto& range : ranges) {
    if (range.last > limits::kJoinOrder) continue;
    if (!answer.coverage.empty() && range.first <= answer.coverage.back().last + 1) continue;
    answer.coverage.push_back(range);
  }
  while (oneIn(2) && answer.missing.size() < limits::kMissingNamed) {
    const auto whom = contact();
    answer.missing.push_back({whom.id, whom.order, below_(oneIn(2) ? 4 : limits::kMembers)});
  }
  while (oneIn(2) && answer.indexing.size() < kEntriesTold) answer.indexing.push_back(id());
}

wire::Answer Lies::answer() {
  wire::Answer answer;
  answer.id = queryId();
  if (oneIn(2)) addHits(answer);
  if (oneIn(2)) addCoverage(answer);
  answer.done = oneIn(2);
  return answer;
}

// --- pushes

wire::PushOffer Lies::offer() {
  wire::PushOffer offer;
  if (!facts_.pushes.empty() && oneIn(4)) offer = facts_.pushes[below_(facts_.pushes.size())];
  if (facts_.pushes.empty() || oneIn(4)) offer.id = bytes<PushId>();
  if (offer.id.isZero()) offer.id = bytes<PushId>();
  offer.sender = contact();
  offer.via = id();
  offer.late = oneIn(2);
  offer.end = static_cast<wire::PushEnd>(oneIn(4) ? below_(3) : 0);
  offer.files = {
      {"x" + std::to_string(below_(100)), 1 + below_(oneIn(2) ? 100'000 : 1ull << 43), root()}};
  offer.to.clear();
  while (oneIn(3) && offer.to.size() < 4) offer.to.push_back(id());
  return offer;
}

wire::PushEntry Lies::entry() {
  wire::PushEntry entry;
  switch (below_(3)) {
    case 0:
      entry.version = static_cast<std::uint32_t>(below_(8));
      break;
    case 1:
      entry.version = static_cast<std::uint32_t>(below_(kRaise));
      break;
    default:
      entry.version = limits::kLedgerVersion;
      if (oneIn(2)) entry.version = static_cast<std::uint32_t>(1 + below_(limits::kLedgerVersion));
      break;
  }
  entry.state = static_cast<wire::PushState>(below_(6));
  entry.peer = contact();
  entry.via = oneIn(4) ? PeerId() : id();
  entry.late = oneIn(2);
  const bool hasReason =
      entry.state == wire::PushState::failed || entry.state == wire::PushState::declined;
  if (hasReason) entry.reason = oneIn(2) ? "so" : std::string(limits::kPushReasonBytes, 'r');
  return entry;
}

wire::PushLedger Lies::ledger() {
  wire::PushLedger ledger;
  ledger.id = facts_.pushes.empty() || oneIn(16) ? bytes<PushId>()
                                                 : facts_.pushes[below_(facts_.pushes.size())].id;
  ledger.end = static_cast<wire::PushEnd>(oneIn(8) ? below_(3) : 0);
  const auto count = below_(kEntriesTold);
  for (std::uint64_t i = 0; i < count; ++i) ledger.entries.push_back(entry());
  return ledger;
}

wire::LinkMessage Lies::ofPushes() {
  if (oneIn(4)) return offer();
  return ledger();
}

// --- the tree

wire::Heartbeat Lies::heartbeat() {
  return {label(), 1 + below_(oneIn(2) ? 40 : limits::kMembers)};
}

wire::LinkMessage Lies::gossip() {
  switch (below_(4)) {
    case 0:
      return wire::Heartbeat{facts_.label, 1 + below_(oneIn(2) ? 40 : limits::kMembers)};
    case 1:
      return wire::LineageChanged{lineage()};
    case 2:
      return wire::Raise{label(), contact(), id()};
    default:
      return wire::PeerExchange{contacts(limits::kContacts)};
  }
}

wire::Attach Lies::attach() {
  wire::Attach attach;
  attach.network = oneIn(8) ? bytes<wire::NetworkId>() : facts_.network;
  attach.self = contact();
  if (oneIn(2)) attach.floor = label();
  attach.below = 1 + below_(oneIn(2) ? 4 : limits::kMembers);
  if (oneIn(2)) attach.secret = bytes<wire::LinkSecret>();
  return attach;
}

wire::LinkMessage Lies::answerToAttach() {
  switch (below_(4)) {
    case 0:
      return wire::Accepted{contact(), label(), 1 + below_(limits::kMembers), lineage()};
    case 1:
      return wire::Referred{contacts(limits::kMaxLinks)};
    case 2:
      return wire::Held();
    default:
      return wire::Refused{static_cast<wire::RefusalReason>(1 + below_(5))};
  }
}

wire::LinkMessage Lies::any() {
  switch (below_(8)) {
    case 0:
      return query();
    case 1:
    case 2:
      return answer();
    case 3:
      if (oneIn(2)) return wire::Lost{queryId()};
      return attach();
    case 4:
      return ofPushes();
    case 5:
      return answerToAttach();
    case 6:
      if (oneIn(16)) return wire::Farewell();
      return heartbeat();
    default:
      return gossip();
  }
}

// --- to the metaserver

wire::Join Lies::join() {
  wire::Join join;
  const auto whom = contact();
  join.id = whom.id;
  join.key = bytes<InstanceKey>();
  join.word = oneIn(16) ? "yes" : "P2P";
  join.listen = oneIn(2) ? Endpoint() : endpoint();
  if (oneIn(2)) join.generation = static_cast<std::uint32_t>(number(order()));
  if (oneIn(4)) return join;
  join.network = oneIn(8) ? bytes<wire::NetworkId>() : facts_.network;
  join.order = oneIn(2) ? whom.order : order();
  if (oneIn(2)) join.parent = id();
  while (oneIn(2) && join.neighbours.size() < limits::kMaxLinks) join.neighbours.push_back(id());
  return join;
}

wire::Links Lies::links() {
  wire::Links links;
  if (oneIn(2)) links.parent = id();
  while (!oneIn(4) && links.neighbours.size() < limits::kMaxLinks) {
    links.neighbours.push_back(id());
  }
  links.number = requestNumber();
  return links;
}

wire::Seek Lies::seek() {
  wire::Seek seek;
  if (oneIn(2)) seek.lost = id();
  if (oneIn(2)) seek.failed = id();
  return seek;
}

wire::RegistryRequest Lies::toRegistry() {
  switch (below_(9)) {
    case 8:
      if (oneIn(2)) return wire::StatisticsRequest{0, requestNumber()};
      return wire::Rate{static_cast<unsigned>(1 + below_(5)), "so", 1 + requestNumber()};
    case 0:
    case 1:
      return join();
    case 2:
      return wire::PortTaken{static_cast<std::uint16_t>(1 + below_(65'535))};
    case 3:
      return links();
    case 4:
      return seek();
    case 5:
      return wire::RegistryHeartbeat();
    case 6:
      if (oneIn(2)) return wire::MembersRequest{requestNumber()};
      return wire::TopologyRequest{order(), requestNumber()};
    default:
      if (oneIn(4)) return wire::Quit();
      return links();
  }
}

wire::RegistryReply Lies::fromRegistry() {
  const auto referral = [&] {
    wire::Referral place;
    place.kind = static_cast<wire::Referral::Kind>(1 + below_(3));
    if (place.kind == wire::Referral::Kind::below) place.parent = contact();
    return place;
  };
  const auto interval = [&] {
    const auto spread = limits::kHeartbeatIntervalMost - limits::kHeartbeatIntervalLeast;
    const std::chrono::milliseconds most = spread;
    return limits::kHeartbeatIntervalLeast +
           std::chrono::milliseconds(below_(static_cast<std::uint64_t>(most.count())));
  };
  const auto metaservers = [&] {
    std::vector<Endpoint> all;
    while (oneIn(2) && all.size() < limits::kMetaserversTold) all.push_back(contact().endpoint);
    return all;
  };
  switch (below_(11)) {
    case 10: {
      if (oneIn(2)) return wire::Rated{requestNumber(), oneIn(2)};
      wire::Statistics statistics;
      statistics.number = requestNumber();
      return statistics;
    }
    case 8: {
      const bool isOther = oneIn(4);
      return wire::Redirect{contact().endpoint,
                            isOther ? bytes<wire::NetworkId>() : facts_.network};
    }
    case 0:
    case 1: {
      wire::Admitted admitted;
      admitted.network = oneIn(4) ? bytes<wire::NetworkId>() : facts_.network;
      admitted.self = oneIn(4) ? contact() : facts_.self;
      admitted.maxLinks = static_cast<unsigned>(limits::kMinLinks +
                                                below_(limits::kMaxLinks - limits::kMinLinks + 1));
      admitted.heartbeatInterval = interval();
      admitted.members = 1 + below_(limits::kMembers);
      admitted.referral = referral();
      admitted.metaservers = metaservers();
      return admitted;
    }
    case 2:
      return referral();
    case 3:
      return wire::Members{1 + below_(limits::kMembers), order(), requestNumber()};
    case 4:
      return wire::RegistryHeartbeatReply{interval(), oneIn(2) ? "so" : "", metaservers()};
    case 5:
      return wire::Wait{"so"};
    case 6:
      if (oneIn(2)) return wire::WordRefused{"P2P"};
      return wire::Failure{ErrorCode::refused, "no"};
    case 7: {
      wire::Strangers strangers;
      strangers.number = 1 + requestNumber();
      while (oneIn(2) && strangers.ids.size() < limits::kMaxLinks) strangers.ids.push_back(id());
      while (oneIn(2) && strangers.unconfirmed.size() < limits::kMaxLinks) {
        strangers.unconfirmed.push_back(id());
      }
      return strangers;
    }
    default: {
      wire::Topology topology;
      while (oneIn(2) && topology.entries.size() < kEntriesTold) {
        topology.entries.push_back({contact(), id(), {id()}});
      }
      topology.more = oneIn(2);
      topology.number = requestNumber();
      return topology;
    }
  }
}

}  // namespace espalier::test
