#include "common/wire/link_codec.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/wire/contact_codec.h"
#include "common/wire/push_codec.h"
#include "common/wire/search_codec.h"
#include "link.pb.h"

namespace espalier::wire {
namespace {

constexpr std::size_t kContactBytes = limits::kPeerIdBytes + limits::kHostBytes + 32;
static_assert(limits::kMaxLinks * kContactBytes + 64 < limits::kFrameBytes, "a referral fits");
static_assert((limits::kContacts + 3) * kContactBytes + 64 < limits::kFrameBytes,
              "an Accepted with its lineage fits");
static_assert(limits::kSearchMessageBytes + 16 < limits::kFrameBytes, "a search fits the envelope");
static_assert(limits::kPushMessageBytes + 16 < limits::kFrameBytes, "a push fits the envelope");

// --- out

std::uint64_t sendable(std::uint64_t members) {
  return std::min(members, limits::kMembers);
}

void fill(const Label& label, proto::Label& out) {
  out.set_sequence(label.sequence);
  out.set_depth(label.depth);
}

// The worst label of all, that of a peer without children, is not sent.
template <typename Message>
void fillFloor(const Label& floor, Message& out) {
  if (floor != Label()) fill(floor, *out.mutable_floor());
}

void fill(const Lineage& lineage, proto::Lineage& out) {
  fill(lineage.root, *out.mutable_root());
  fillContacts(lineage.ancestors, *out.mutable_ancestors());
  fillContacts(lineage.rootChildren, *out.mutable_root_children());
}

void fill(const Attach& attach, proto::LinkFrame& frame) {
  auto& out = *frame.mutable_attach();
  out.mutable_network()->assign(attach.network.view());
  fill(attach.self, *out.mutable_self());
  fillFloor(attach.floor, out);
  out.set_below(sendable(attach.below));
  if (!attach.secret.isZero()) out.mutable_secret()->assign(attach.secret.view());
}

void fill(const Accepted& accepted, proto::LinkFrame& frame) {
  auto& out = *frame.mutable_accepted();
  fill(accepted.self, *out.mutable_self());
  fill(accepted.label, *out.mutable_label());
  out.set_members(sendable(accepted.members));
  fill(accepted.lineage, *out.mutable_lineage());
}

void fill(const Referred& referred, proto::LinkFrame& frame) {
  fillContacts(referred.candidates, *frame.mutable_referred()->mutable_candidates());
}

void fill(const Held&, proto::LinkFrame& frame) {
  frame.mutable_held();
}

void fill(const Refused& refused, proto::LinkFrame& frame) {
  frame.mutable_refused()->set_reason(static_cast<std::uint32_t>(refused.reason));
}

void fill(const Heartbeat& heartbeat, proto::LinkFrame& frame) {
  auto& out = *frame.mutable_heartbeat();
  fill(heartbeat.label, *out.mutable_label());
  out.set_members(sendable(heartbeat.members));
}

void fill(const LineageChanged& changed, proto::LinkFrame& frame) {
  fill(changed.lineage, *frame.mutable_lineage_changed()->mutable_lineage());
}

void fill(const Raise& raise, proto::LinkFrame& frame) {
  auto& out = *frame.mutable_raise();
  fillFloor(raise.floor, out);
  fill(raise.seeker, *out.mutable_seeker());
  out.set_acceptor(raise.acceptor.text());
}

void fill(const PeerExchange& exchange, proto::LinkFrame& frame) {
  fillContacts(exchange.contacts, *frame.mutable_peer_exchange()->mutable_contacts());
}

void fill(const Farewell&, proto::LinkFrame& frame) {
  frame.mutable_farewell();
}

void fill(const PushOffer& offer, proto::LinkFrame& frame) {
  toProto(offer, *frame.mutable_push());
}

void fill(const PushLedger& ledger, proto::LinkFrame& frame) {
  toProto(ledger, *frame.mutable_push());
}

template <typename Message>
void fill(const Message& search, proto::LinkFrame& frame) {
  toProto(search, *frame.mutable_search());
}

// --- in

Result<Label> read(const proto::Label& in) {
  if (in.sequence() >= limits::kSequenceNumbers) return malformed("a sequence number beyond all");
  if (in.depth() > limits::kDepth) return malformed("a depth that no tree has");
  return Label{in.sequence(), in.depth()};
}

template <typename Message>
Result<Label> readFloor(const Message& in) {
  return in.has_floor() ? read(in.floor()) : Label();
}

Result<Lineage> read(const proto::Lineage& in) {
  auto root = readContact(in.root());
  if (!root) return root.error();
  auto ancestors = readContacts(in.ancestors(), limits::kContacts);
  if (!ancestors) return ancestors.error();
  auto rootChildren = readContacts(in.root_children(), limits::kContacts - ancestors->size());
  if (!rootChildren) return rootChildren.error();
  return Lineage{*std::move(root), *std::move(ancestors), *std::move(rootChildren)};
}

Result<LinkMessage> read(const proto::Attach& in) {
  const auto network = NetworkId::fromRaw(in.network());
  if (!network) return malformed(network.error().message);
  auto self = readContact(in.self());
  if (!self) return self.error();
  const auto floor = readFloor(in);
  if (!floor) return floor.error();
  const auto below = readMembers(in.below(), 1);
  if (!below) return below.error();
  Attach attach{*network, *std::move(self), *floor, *below, LinkSecret()};
  if (!in.secret().empty()) {
    const auto secret = LinkSecret::fromRaw(in.secret());
    if (!secret) return malformed(secret.error().message);
    attach.secret = *secret;
  }
  return LinkMessage(std::move(attach));
}

Result<LinkMessage> read(const proto::Accepted& in) {
  auto self = readContact(in.self());
  if (!self) return self.error();
  // An absent label would be sequence 0, depth 0, which no sender can mean.
  if (!in.has_label()) return malformed("no label");
  const auto label = read(in.label());
  if (!label) return label.error();
  const auto members = readMembers(in.members(), 1);
  if (!members) return members.error();
  auto lineage = read(in.lineage());
  if (!lineage) return lineage.error();
  return LinkMessage(Accepted{*std::move(self), *label, *members, *std::move(lineage)});
}

Result<LinkMessage> read(const proto::Referred& in) {
  auto candidates = readContacts(in.candidates(), limits::kMaxLinks);
  if (!candidates) return candidates.error();
  return LinkMessage(Referred{*std::move(candidates)});
}

Result<LinkMessage> read(const proto::Refused& in) {
  if (in.reason() < 1 || in.reason() > static_cast<std::uint32_t>(RefusalReason::busy)) {
    return malformed("a refusal for an unknown reason");
  }
  return LinkMessage(Refused{static_cast<RefusalReason>(in.reason())});
}

Result<LinkMessage> read(const proto::Heartbeat& in) {
  if (!in.has_label()) return malformed("no label");
  const auto label = read(in.label());
  if (!label) return label.error();
  const auto members = readMembers(in.members(), 1);
  if (!members) return members.error();
  return LinkMessage(Heartbeat{*label, *members});
}

Result<LinkMessage> read(const proto::LineageChanged& in) {
  auto lineage = read(in.lineage());
  if (!lineage) return lineage.error();
  return LinkMessage(LineageChanged{*std::move(lineage)});
}

Result<LinkMessage> read(const proto::Raise& in) {
  const auto floor = readFloor(in);
  if (!floor) return floor.error();
  auto seeker = readContact(in.seeker());
  if (!seeker) return seeker.error();
  auto acceptor = readPeerId(in.acceptor());
  if (!acceptor) return acceptor.error();
  return LinkMessage(Raise{*floor, *std::move(seeker), *std::move(acceptor)});
}

Result<LinkMessage> read(const proto::PeerExchange& in) {
  auto contacts = readContacts(in.contacts(), limits::kContacts);
  if (!contacts) return contacts.error();
  return LinkMessage(PeerExchange{*std::move(contacts)});
}

Result<LinkMessage> read(const proto::Search& in) {
  auto search = fromProto(in);
  if (!search) return search.error();
  return std::visit([](auto&& message) { return LinkMessage(std::move(message)); },
                    *std::move(search));
}

Result<LinkMessage> read(const proto::Push& in) {
  auto push = fromProto(in);
  if (!push) return push.error();
  return std::visit([](auto&& message) { return LinkMessage(std::move(message)); },
                    *std::move(push));
}

}  // namespace

std::string encode(const LinkMessage& message) {
  proto::LinkFrame frame;
  std::visit([&](const auto& part) { fill(part, frame); }, message);
  return serialized(frame);
}

Result<LinkMessage> decodeLink(std::string_view payload) {
  proto::LinkFrame frame;
  if (!parse(payload, frame)) return malformed("no link's");
  switch (frame.kind_case()) {
    case proto::LinkFrame::kAttach:
      return read(frame.attach());
    case proto::LinkFrame::kAccepted:
      return read(frame.accepted());
    case proto::LinkFrame::kReferred:
      return read(frame.referred());
    case proto::LinkFrame::kHeld:
      return LinkMessage(Held{});
    case proto::LinkFrame::kRefused:
      return read(frame.refused());
    case proto::LinkFrame::kHeartbeat:
      return read(frame.heartbeat());
    case proto::LinkFrame::kLineageChanged:
      return read(frame.lineage_changed());
    case proto::LinkFrame::kRaise:
      return read(frame.raise());
    case proto::LinkFrame::kPeerExchange:
      return read(frame.peer_exchange());
    case proto::LinkFrame::kFarewell:
      return LinkMessage(Farewell{});
    case proto::LinkFrame::kSearch:
      return read(frame.search());
    case proto::LinkFrame::kPush:
      return read(frame.push());
    case proto::LinkFrame::KIND_NOT_SET:
      break;
  }
  return malformed("of no kind that this version knows");
}

}  // namespace espalier::wire
