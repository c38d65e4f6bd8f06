// Messages from a peer to its metaserver; registry_reply_codec.cpp has the other direction.
#include "common/wire/registry_codec.h"

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/crypto/instance.h"
#include "common/wire/contact_codec.h"
#include "common/wire/registry_proto.h"
#include "common/wire/room_lists_codec.h"
#include "common/wire/rooms_codec.h"
#include "common/wire/statistics_codec.h"
#include "registry.pb.h"

namespace espalier::wire {
namespace {

static_assert((limits::kMaxLinks + 2) * (limits::kPeerIdBytes + 2) + limits::kJoinWordBytes +
                      limits::kHostBytes + 128 <
                  limits::kFrameBytes,
              "a Join fits, and a member's entry");

bool isPort(std::uint32_t port) {
  return port >= 1 && port <= 65535;
}

template <typename Id>
void setRaw(const Id& id, std::string& out) {
  out.assign(id.view());
}

// --- requests, out

void fill(const Join& join, proto::RegistryRequestFrame& frame) {
  toProto(join, *frame.mutable_join());
}

void fill(const PortTaken& taken, proto::RegistryRequestFrame& frame) {
  frame.mutable_port_taken()->set_port(taken.port);
}

void fill(const Links& links, proto::RegistryRequestFrame& frame) {
  auto& out = *frame.mutable_links();
  if (links.parent) out.set_parent(links.parent->text());
  fillNeighbours(links.neighbours, *out.mutable_neighbours());
  out.set_number(links.number);
}

void fill(const Seek& seek, proto::RegistryRequestFrame& frame) {
  auto& out = *frame.mutable_seek();
  if (seek.lost) out.set_lost(seek.lost->text());
  if (seek.failed) out.set_failed(seek.failed->text());
}

void fill(const RegistryHeartbeat&, proto::RegistryRequestFrame& frame) {
  frame.mutable_heartbeat();
}

void fill(const TopologyRequest& request, proto::RegistryRequestFrame& frame) {
  frame.mutable_topology()->set_after(number(request.after));
  frame.mutable_topology()->set_number(request.number);
  if (!request.id.empty()) frame.mutable_topology()->set_id(request.id.text());
}

void fill(const MembersRequest& request, proto::RegistryRequestFrame& frame) {
  frame.mutable_members()->set_number(request.number);
}

void fill(const Quit&, proto::RegistryRequestFrame& frame) {
  frame.mutable_quit();
}

void fill(const Rate& rate, proto::RegistryRequestFrame& frame) {
  auto& out = *frame.mutable_rate();
  out.set_score(rate.score);
  out.set_text(std::string(cutUtf8(rate.text, limits::kRatingBytes)));
  out.set_number(rate.number);
}

void fill(const StatisticsRequest& request, proto::RegistryRequestFrame& frame) {
  toProto(request, *frame.mutable_statistics());
}

void fill(const RoomRequest& request, proto::RegistryRequestFrame& frame) {
  toProto(request, *frame.mutable_room());
}

void fill(const RoomListRequest& request, proto::RegistryRequestFrame& frame) {
  toProto(request, *frame.mutable_room_list());
}

void fill(const RoomWhoRequest& request, proto::RegistryRequestFrame& frame) {
  toProto(request, *frame.mutable_room_who());
}

// --- requests, in

Result<RegistryRequest> read(const proto::Join& in) {
  auto join = fromProto(in);
  if (!join) return join.error();
  return RegistryRequest(*std::move(join));
}

Result<RegistryRequest> read(const proto::PortTaken& in) {
  if (!isPort(in.port())) return malformed("no port");
  return RegistryRequest(PortTaken{static_cast<std::uint16_t>(in.port())});
}

Result<RegistryRequest> read(const proto::Links& in) {
  auto parent = readOptionalPeerId(in.parent());
  if (!parent) return parent.error();
  auto neighbours = readNeighbours(in.neighbours());
  if (!neighbours) return neighbours.error();
  return RegistryRequest(Links{*std::move(parent), *std::move(neighbours), in.number()});
}

Result<RegistryRequest> read(const proto::Seek& in) {
  auto lost = readOptionalPeerId(in.lost());
  if (!lost) return lost.error();
  auto failed = readOptionalPeerId(in.failed());
  if (!failed) return failed.error();
  return RegistryRequest(Seek{*std::move(lost), *std::move(failed)});
}

Result<RegistryRequest> read(const proto::TopologyRequest& in) {
  const auto after = readOrder(in.after());
  if (!after) return after.error();
  auto id = readOptionalPeerId(in.id());
  if (!id) return id.error();
  return RegistryRequest(TopologyRequest{*after, in.number(), id->value_or(PeerId())});
}

Result<RegistryRequest> read(const proto::Rate& in) {
  if (in.score() < 1 || in.score() > 5) return malformed("a rating that is not 1 to 5");
  if (in.text().size() > limits::kRatingBytes || !isUtf8(in.text())) {
    return malformed("a rating whose text is too long or not UTF-8");
  }
  if (in.number() == 0) return malformed("a rating without a number");
  return RegistryRequest(Rate{in.score(), in.text(), in.number()});
}

// Of statistics and of rooms.
template <typename Part>
Result<RegistryRequest> readRequestPart(const Part& in) {
  auto part = fromProto(in);
  if (!part) return part.error();
  return RegistryRequest(*std::move(part));
}

}  // namespace

void toProto(const Join& join, proto::Join& out) {
  out.set_id(join.id.text());
  setRaw(join.key, *out.mutable_key());
  out.set_word(join.word);
  out.set_listen_host(join.listen.host);
  out.set_listen_port(join.listen.port);
  if (!join.network.isZero()) setRaw(join.network, *out.mutable_network());
  out.set_order(number(join.order));
  out.set_generation(join.generation);
  if (!join.instance.isZero()) setRaw(join.instance, *out.mutable_instance());
  out.set_since_ms(static_cast<std::uint64_t>(join.since.count()));
  if (join.parent) out.set_parent(join.parent->text());
  fillNeighbours(join.neighbours, *out.mutable_neighbours());
}

Result<Join> fromProto(const proto::Join& in) {
  Join join;
  auto id = readPeerId(in.id());
  if (!id) return id.error();
  join.id = *std::move(id);
  const auto key = InstanceKey::fromRaw(in.key());
  if (!key) return malformed("an instance key of the wrong length");
  join.key = *key;
  if (in.word().size() > limits::kJoinWordBytes) return malformed("a join word that is too long");
  join.word = in.word();
  if (!in.listen_host().empty() && !isHost(in.listen_host())) return malformed("no host");
  if (in.listen_port() > 65535) return malformed("no port");
  join.listen = {in.listen_host(), static_cast<std::uint16_t>(in.listen_port())};
  if (!in.network().empty()) {
    const auto network = NetworkId::fromRaw(in.network());
    if (!network) return malformed("a network of the wrong length");
    join.network = *network;
  }
  const auto order = readOrder(in.order());
  if (!order) return order.error();
  join.order = *order;
  join.generation = in.generation();
  const auto instance = readOptionalInstance(in.instance());
  if (!instance) return instance.error();
  if (!instance->isZero() && *instance != crypto::instanceOf(join.key)) {
    return malformed("an instance that is not the key's");
  }
  join.instance = *instance;
  if (in.since_ms() > limits::kStatisticsCount) return malformed("a session of no time");
  join.since = std::chrono::milliseconds(in.since_ms());
  auto parent = readOptionalPeerId(in.parent());
  if (!parent) return parent.error();
  join.parent = *std::move(parent);
  auto neighbours = readNeighbours(in.neighbours());
  if (!neighbours) return neighbours.error();
  join.neighbours = *std::move(neighbours);
  return join;
}

void toProto(const RegistryRequest& request, proto::RegistryRequestFrame& out) {
  std::visit([&](const auto& part) { fill(part, out); }, request);
}

Result<RegistryRequest> fromProto(const proto::RegistryRequestFrame& in) {
  switch (in.kind_case()) {
    case proto::RegistryRequestFrame::kJoin:
      return read(in.join());
    case proto::RegistryRequestFrame::kPortTaken:
      return read(in.port_taken());
    case proto::RegistryRequestFrame::kLinks:
      return read(in.links());
    case proto::RegistryRequestFrame::kSeek:
      return read(in.seek());
    case proto::RegistryRequestFrame::kHeartbeat:
      return RegistryRequest(RegistryHeartbeat{});
    case proto::RegistryRequestFrame::kTopology:
      return read(in.topology());
    case proto::RegistryRequestFrame::kMembers:
      return RegistryRequest(MembersRequest{in.members().number()});
    case proto::RegistryRequestFrame::kQuit:
      return RegistryRequest(Quit{});
    case proto::RegistryRequestFrame::kRate:
      return read(in.rate());
    case proto::RegistryRequestFrame::kStatistics:
      return readRequestPart(in.statistics());
    case proto::RegistryRequestFrame::kRoom:
      return readRequestPart(in.room());
    case proto::RegistryRequestFrame::kRoomList:
      return readRequestPart(in.room_list());
    case proto::RegistryRequestFrame::kRoomWho:
      return readRequestPart(in.room_who());
    case proto::RegistryRequestFrame::KIND_NOT_SET:
      break;
  }
  return malformed("of no kind that this version knows");
}

std::string encode(const RegistryRequest& request) {
  proto::RegistryRequestFrame frame;
  toProto(request, frame);
  return serialized(frame);
}

Result<RegistryRequest> decodeRegistryRequest(std::string_view payload) {
  proto::RegistryRequestFrame frame;
  if (!parse(payload, frame)) return malformed("no request to a metaserver");
  return fromProto(frame);
}

}  // namespace espalier::wire
