// What a metaserver says to a peer.
#include <fmt/format.h>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/contact_codec.h"
#include "common/wire/registry_codec.h"
#include "registry.pb.h"

namespace espalier::wire {
namespace {

using std::chrono::milliseconds;

Result<milliseconds> readInterval(std::uint32_t ms) {
  const milliseconds interval(ms);
  if (interval < limits::kBeatIntervalLeast || interval > limits::kBeatIntervalMost) {
    return malformed(fmt::format("a beat every {} ms", ms));
  }
  return interval;
}

std::uint32_t countMs(milliseconds interval) {
  return static_cast<std::uint32_t>(interval.count());
}

// --- replies, out

void fill(const Place& place, proto::Place& out) {
  out.set_kind(static_cast<std::uint32_t>(place.kind));
  if (place.kind == Place::Kind::below) fill(place.parent, *out.mutable_parent());
}

void fill(const Admitted& admitted, proto::RegistryReplyFrame& frame) {
  auto& out = *frame.mutable_admitted();
  out.mutable_network()->assign(admitted.network.view());
  fill(admitted.self, *out.mutable_self());
  out.set_max_links(admitted.maxLinks);
  out.set_beat_interval_ms(countMs(admitted.beatInterval));
  out.set_members(admitted.members);
  fill(admitted.place, *out.mutable_place());
  if (!admitted.source.empty()) out.set_source(admitted.source);
}

void fill(const Place& place, proto::RegistryReplyFrame& frame) {
  fill(place, *frame.mutable_place());
}

void fill(const Wait& wait, proto::RegistryReplyFrame& frame) {
  frame.mutable_wait()->set_reason(std::string(cutUtf8(wait.reason, limits::kMessageBytes)));
}

void fill(const WordRefused& refused, proto::RegistryReplyFrame& frame) {
  frame.mutable_word_refused()->set_word(refused.word);
}

void fill(const RegistryBeatReply& reply, proto::RegistryReplyFrame& frame) {
  frame.mutable_beat()->set_beat_interval_ms(countMs(reply.beatInterval));
  if (!reply.unreachable.empty()) {
    frame.mutable_beat()->set_unreachable(
        std::string(cutUtf8(reply.unreachable, limits::kMessageBytes)));
  }
}

void fill(const Members& members, proto::RegistryReplyFrame& frame) {
  frame.mutable_members()->set_count(members.count);
  frame.mutable_members()->set_newest(number(members.newest));
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
}

void fill(const Failure& failure, proto::RegistryReplyFrame& frame) {
  auto& out = *frame.mutable_failure();
  out.set_code(static_cast<std::uint32_t>(failure.code));
  out.set_message(std::string(cutUtf8(failure.message, limits::kMessageBytes)));
}

// --- replies, in

Result<Place> readPlace(const proto::Place& in) {
  if (in.kind() < 1 || in.kind() > static_cast<std::uint32_t>(Place::Kind::below)) {
    return malformed("a place of an unknown kind");
  }
  Place place{static_cast<Place::Kind>(in.kind()), {}};
  if (place.kind == Place::Kind::below) {
    auto parent = readContact(in.parent());
    if (!parent) return parent.error();
    place.parent = *std::move(parent);
  }
  return place;
}

Result<RegistryReply> read(const proto::Place& in) {
  auto place = readPlace(in);
  if (!place) return place.error();
  return RegistryReply(*std::move(place));
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
  const auto interval = readInterval(in.beat_interval_ms());
  if (!interval) return interval.error();
  admitted.beatInterval = *interval;
  const auto members = readMembers(in.members(), 1);
  if (!members) return members.error();
  admitted.members = *members;
  auto place = readPlace(in.place());
  if (!place) return place.error();
  admitted.place = *std::move(place);
  if (isHost(in.source())) admitted.source = in.source();
  return RegistryReply(std::move(admitted));
}

Result<RegistryReply> read(const proto::Wait& in) {
  return RegistryReply(Wait{std::string(cutUtf8(in.reason(), limits::kMessageBytes))});
}

Result<RegistryReply> read(const proto::WordRefused& in) {
  if (in.word().size() > limits::kJoinWordBytes) return malformed("a join word that is too long");
  return RegistryReply(WordRefused{in.word()});
}

Result<RegistryReply> read(const proto::RegistryBeatReply& in) {
  const auto interval = readInterval(in.beat_interval_ms());
  if (!interval) return interval.error();
  return RegistryReply(
      RegistryBeatReply{*interval, std::string(cutUtf8(in.unreachable(), limits::kMessageBytes))});
}

Result<RegistryReply> read(const proto::Members& in) {
  const auto count = readMembers(in.count(), 0);
  if (!count) return count.error();
  const auto newest = readOrder(in.newest());
  if (!newest) return newest.error();
  return RegistryReply(Members{*count, *newest});
}

Result<RegistryReply> read(const proto::Topology& in) {
  Topology topology;
  topology.more = in.more();
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
  // Who asks on from the last entry would ask for ever.
  if (topology.more && topology.entries.empty()) {
    return malformed("an empty page with more behind it");
  }
  return RegistryReply(std::move(topology));
}

Result<RegistryReply> read(const proto::Failure& in) {
  return RegistryReply(Failure{errorCodeFromWire(in.code()),
                               std::string(cutUtf8(in.message(), limits::kMessageBytes))});
}

}  // namespace

std::string encode(const RegistryReply& reply) {
  proto::RegistryReplyFrame frame;
  std::visit([&](const auto& part) { fill(part, frame); }, reply);
  return serialized(frame);
}

Result<RegistryReply> decodeRegistryReply(std::string_view payload) {
  proto::RegistryReplyFrame frame;
  if (!parse(payload, frame)) return malformed("no metaserver's reply");
  switch (frame.kind_case()) {
    case proto::RegistryReplyFrame::kAdmitted:
      return read(frame.admitted());
    case proto::RegistryReplyFrame::kPlace:
      return read(frame.place());
    case proto::RegistryReplyFrame::kWait:
      return read(frame.wait());
    case proto::RegistryReplyFrame::kWordRefused:
      return read(frame.word_refused());
    case proto::RegistryReplyFrame::kBeat:
      return read(frame.beat());
    case proto::RegistryReplyFrame::kMembers:
      return read(frame.members());
    case proto::RegistryReplyFrame::kTopology:
      return read(frame.topology());
    case proto::RegistryReplyFrame::kFailure:
      return read(frame.failure());
    case proto::RegistryReplyFrame::KIND_NOT_SET:
      break;
  }
  return malformed("of no kind that this version knows");
}

std::size_t encodedBytesAtMost(const TopologyEntry& entry) {
  // Tags, lengths, order and port: 40; a tag and a length for each text.
  std::size_t bytes = entry.member.id.text().size() + entry.member.endpoint.host.size() + 40;
  if (entry.parent) bytes += entry.parent->text().size() + 2;
  for (const auto& neighbour : entry.neighbours) bytes += neighbour.text().size() + 2;
  return bytes;
}

}  // namespace espalier::wire
