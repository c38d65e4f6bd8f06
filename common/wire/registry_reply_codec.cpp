// Messages from a metaserver to a peer; registry_codec.cpp has the other direction.
#include <fmt/format.h>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/contact_codec.h"
#include "common/wire/registry_codec.h"
#include "common/wire/registry_proto.h"
#include "common/wire/room_lists_codec.h"
#include "common/wire/rooms_codec.h"
#include "common/wire/statistics_codec.h"
#include "registry.pb.h"

namespace espalier::wire {
namespace {

using std::chrono::milliseconds;

Result<milliseconds> readInterval(std::uint32_t ms) {
  const milliseconds interval(ms);
  if (interval < limits::kHeartbeatIntervalLeast || interval > limits::kHeartbeatIntervalMost) {
    return malformed(fmt::format("a heartbeat every {} ms", ms));
  }
  return interval;
}

std::uint32_t countMs(milliseconds interval) {
  return static_cast<std::uint32_t>(interval.count());
}

// --- replies, out

void fill(const Referral& referral, proto::Referral& out) {
  out.set_kind(static_cast<std::uint32_t>(referral.kind));
  if (referral.kind == Referral::Kind::below) fill(referral.parent, *out.mutable_parent());
}

void fill(const Admitted& admitted, proto::RegistryReplyFrame& frame) {
  auto& out = *frame.mutable_admitted();
  out.mutable_network()->assign(admitted.network.view());
  fill(admitted.self, *out.mutable_self());
  out.set_max_links(admitted.maxLinks);
  out.set_heartbeat_interval_ms(countMs(admitted.heartbeatInterval));
  out.set_members(admitted.members);
  fill(admitted.referral, *out.mutable_referral());
  if (!admitted.source.empty()) out.set_source(admitted.source);
  fillEndpoints(admitted.metaservers, *out.mutable_metaservers());
  out.set_since_ms(static_cast<std::uint64_t>(admitted.since.count()));
  out.set_has_rooms(admitted.hasRooms);
}

void fill(const Referral& referral, proto::RegistryReplyFrame& frame) {
  fill(referral, *frame.mutable_referral());
}

void fill(const Wait& wait, proto::RegistryReplyFrame& frame) {
  frame.mutable_wait()->set_reason(std::string(cutUtf8(wait.reason, limits::kMessageBytes)));
}

void fill(const WordRefused& refused, proto::RegistryReplyFrame& frame) {
  frame.mutable_word_refused()->set_word(refused.word);
}

void fill(const Redirect& redirect, proto::RegistryReplyFrame& frame) {
  wire::fill(redirect.to, *frame.mutable_redirect()->mutable_to());
  frame.mutable_redirect()->mutable_network()->assign(redirect.network.view());
}

void fill(const RegistryHeartbeatReply& reply, proto::RegistryReplyFrame& frame) {
  frame.mutable_heartbeat()->set_heartbeat_interval_ms(countMs(reply.heartbeatInterval));
  if (!reply.unreachable.empty()) {
    frame.mutable_heartbeat()->set_unreachable(
        std::string(cutUtf8(reply.unreachable, limits::kMessageBytes)));
  }
  fillEndpoints(reply.metaservers, *frame.mutable_heartbeat()->mutable_metaservers());
}

void fill(const Members& members, proto::RegistryReplyFrame& frame) {
  frame.mutable_members()->set_count(members.count);
  frame.mutable_members()->set_newest(number(members.newest));
  frame.mutable_members()->set_number(members.number);
  fillOrderRanges(members.orders, *frame.mutable_members()->mutable_orders());
}

void fill(const Topology& topology, proto::RegistryReplyFrame& frame) {
  auto& out = *frame.mutable_topology();
  out.mutable_entries()->Reserve(static_cast<int>(topology.entries.size()));
  for (const auto& entry : topology.entries) {
    auto& line = *out.add_entries();
    fill(entry.member, *line.mutable_member());
    if (entry.parent) line.set_parent(entry.parent->text());
    fillNeighbours(entry.neighbours, *line.mutable_neighbours());
  }
  out.set_more(topology.more);
  out.set_number(topology.number);
}

void fill(const Failure& failure, proto::RegistryReplyFrame& frame) {
  auto& out = *frame.mutable_failure();
  out.set_code(static_cast<std::uint32_t>(failure.code));
  out.set_message(std::string(cutUtf8(failure.message, limits::kMessageBytes)));
  out.set_id_taken(failure.isIdTaken);
  out.set_no_room(failure.isNoRoom);
}

void fill(const Strangers& strangers, proto::RegistryReplyFrame& frame) {
  auto& out = *frame.mutable_strangers();
  out.set_number(strangers.number);
  fillNeighbours(strangers.ids, *out.mutable_ids());
  fillNeighbours(strangers.unconfirmed, *out.mutable_unconfirmed());
}

void fill(const Rated& rated, proto::RegistryReplyFrame& frame) {
  frame.mutable_rated()->set_number(rated.number);
  frame.mutable_rated()->set_is_taken(rated.isTaken);
}

void fill(const Statistics& statistics, proto::RegistryReplyFrame& frame) {
  toProto(statistics, *frame.mutable_statistics());
}

void fill(const RoomReply& reply, proto::RegistryReplyFrame& frame) {
  toProto(reply, *frame.mutable_room());
}

void fill(const RoomList& list, proto::RegistryReplyFrame& frame) {
  toProto(list, *frame.mutable_room_list());
}

void fill(const RoomWho& who, proto::RegistryReplyFrame& frame) {
  toProto(who, *frame.mutable_room_who());
}

// --- replies, in

Result<Referral> readReferral(const proto::Referral& in) {
  if (in.kind() < 1 || in.kind() > static_cast<std::uint32_t>(Referral::Kind::below)) {
    return malformed("a referral of an unknown kind");
  }
  Referral referral{static_cast<Referral::Kind>(in.kind()), {}};
  if (referral.kind == Referral::Kind::below) {
    auto parent = readContact(in.parent());
    if (!parent) return parent.error();
    referral.parent = *std::move(parent);
  }
  return referral;
}

Result<RegistryReply> read(const proto::Referral& in) {
  auto referral = readReferral(in);
  if (!referral) return referral.error();
  return RegistryReply(*std::move(referral));
}

Result<RegistryReply> read(const proto::Admitted& in) {
  Admitted admitted;
  const auto network = NetworkId::fromRaw(in.network());
  if (!network) return malformed("a network of the wrong length");
  admitted.network = *network;
  auto self = readContact(in.self());
  if (!self) return self.error();
  admitted.self = *std::move(self);
  if (in.max_links() < limits::kMinLinks || in.max_links() > limits::kMaxLinks) {
    return malformed(fmt::format("a network of {} links a peer", in.max_links()));
  }
  admitted.maxLinks = in.max_links();
  const auto interval = readInterval(in.heartbeat_interval_ms());
  if (!interval) return interval.error();
  admitted.heartbeatInterval = *interval;
  const auto members = readMembers(in.members(), 1);
  if (!members) return members.error();
  admitted.members = *members;
  auto referral = readReferral(in.referral());
  if (!referral) return referral.error();
  admitted.referral = *std::move(referral);
  if (isHost(in.source())) admitted.source = in.source();
  auto metaservers = readEndpoints(in.metaservers(), limits::kMetaserversTold);
  if (!metaservers) return metaservers.error();
  admitted.metaservers = *std::move(metaservers);
  if (in.since_ms() > limits::kStatisticsCount) return malformed("a session of no time");
  admitted.since = milliseconds(in.since_ms());
  admitted.hasRooms = in.has_rooms();
  return RegistryReply(std::move(admitted));
}

Result<RegistryReply> read(const proto::Wait& in) {
  return RegistryReply(Wait{std::string(cutUtf8(in.reason(), limits::kMessageBytes))});
}

Result<RegistryReply> read(const proto::WordRefused& in) {
  if (in.word().size() > limits::kJoinWordBytes) return malformed("a join word that is too long");
  return RegistryReply(WordRefused{in.word()});
}

Result<RegistryReply> read(const proto::Redirect& in) {
  auto to = readEndpoint(in.to());
  if (!to) return to.error();
  const auto network = NetworkId::fromRaw(in.network());
  if (!network || network->isZero()) return malformed("a redirect into no network");
  return RegistryReply(Redirect{*std::move(to), *network});
}

Result<RegistryReply> read(const proto::RegistryHeartbeatReply& in) {
  const auto interval = readInterval(in.heartbeat_interval_ms());
  if (!interval) return interval.error();
  auto metaservers = readEndpoints(in.metaservers(), limits::kMetaserversTold);
  if (!metaservers) return metaservers.error();
  return RegistryReply(RegistryHeartbeatReply{
      *interval, std::string(cutUtf8(in.unreachable(), limits::kMessageBytes)),
      *std::move(metaservers)});
}

Result<RegistryReply> read(const proto::Members& in) {
  const auto count = readMembers(in.count(), 0);
  if (!count) return count.error();
  const auto newest = readOrder(in.newest());
  if (!newest) return newest.error();
  auto orders = readOrderRanges(in.orders(), limits::kCoverageRanges);
  if (!orders) return orders.error();
  return RegistryReply(Members{*count, *newest, in.number(), *std::move(orders)});
}

Result<RegistryReply> read(const proto::Topology& in) {
  Topology topology;
  topology.more = in.more();
  topology.number = in.number();
  topology.entries.reserve(static_cast<std::size_t>(in.entries_size()));
  for (const auto& line : in.entries()) {
    auto member = readContact(line.member());
    if (!member) return member.error();
    auto parent = readOptionalPeerId(line.parent());
    if (!parent) return parent.error();
    auto neighbours = readNeighbours(line.neighbours());
    if (!neighbours) return neighbours.error();
    topology.entries.push_back({*std::move(member), *std::move(parent), *std::move(neighbours)});
  }
  // Otherwise a peer that requests the next page would do so for ever.
  if (topology.more && topology.entries.empty()) {
    return malformed("an empty page with more behind it");
  }
  return RegistryReply(std::move(topology));
}

Result<RegistryReply> read(const proto::Strangers& in) {
  auto ids = readNeighbours(in.ids());
  if (!ids) return ids.error();
  auto unconfirmed = readNeighbours(in.unconfirmed());
  if (!unconfirmed) return unconfirmed.error();
  return RegistryReply(Strangers{in.number(), *std::move(ids), *std::move(unconfirmed)});
}

Result<RegistryReply> read(const proto::Failure& in) {
  return RegistryReply(Failure{errorCodeFromWire(in.code()),
                               std::string(cutUtf8(in.message(), limits::kMessageBytes)),
                               in.id_taken(), in.no_room()});
}

// Of statistics and of rooms.
template <typename Part>
Result<RegistryReply> readReplyPart(const Part& in) {
  auto part = fromProto(in);
  if (!part) return part.error();
  return RegistryReply(*std::move(part));
}

}  // namespace

void toProto(const RegistryReply& reply, proto::RegistryReplyFrame& out) {
  std::visit([&](const auto& part) { fill(part, out); }, reply);
}

Result<RegistryReply> fromProto(const proto::RegistryReplyFrame& in) {
  switch (in.kind_case()) {
    case proto::RegistryReplyFrame::kAdmitted:
      return read(in.admitted());
    case proto::RegistryReplyFrame::kReferral:
      return read(in.referral());
    case proto::RegistryReplyFrame::kWait:
      return read(in.wait());
    case proto::RegistryReplyFrame::kWordRefused:
      return read(in.word_refused());
    case proto::RegistryReplyFrame::kHeartbeat:
      return read(in.heartbeat());
    case proto::RegistryReplyFrame::kMembers:
      return read(in.members());
    case proto::RegistryReplyFrame::kTopology:
      return read(in.topology());
    case proto::RegistryReplyFrame::kFailure:
      return read(in.failure());
    case proto::RegistryReplyFrame::kStrangers:
      return read(in.strangers());
    case proto::RegistryReplyFrame::kRedirect:
      return read(in.redirect());
    case proto::RegistryReplyFrame::kRated:
      return RegistryReply(Rated{in.rated().number(), in.rated().is_taken()});
    case proto::RegistryReplyFrame::kStatistics:
      return readReplyPart(in.statistics());
    case proto::RegistryReplyFrame::kRoom:
      return readReplyPart(in.room());
    case proto::RegistryReplyFrame::kRoomList:
      return readReplyPart(in.room_list());
    case proto::RegistryReplyFrame::kRoomWho:
      return readReplyPart(in.room_who());
    case proto::RegistryReplyFrame::KIND_NOT_SET:
      break;
  }
  return malformed("of no kind that this version knows");
}

std::string encode(const RegistryReply& reply) {
  proto::RegistryReplyFrame frame;
  toProto(reply, frame);
  return serialized(frame);
}

Result<RegistryReply> decodeRegistryReply(std::string_view payload) {
  proto::RegistryReplyFrame frame;
  if (!parse(payload, frame)) return malformed("no metaserver's reply");
  return fromProto(frame);
}

std::size_t encodedBytesAtMost(const TopologyEntry& entry) {
  // Tags, lengths, order, port and instance take 60 bytes; each text has a tag and a length.
  std::size_t bytes = entry.member.id.text().size() + entry.member.endpoint.host.size() + 60;
  if (entry.parent) bytes += entry.parent->text().size() + 2;
  for (const auto& neighbour : entry.neighbours) bytes += neighbour.text().size() + 2;
  return bytes;
}

}  // namespace espalier::wire
