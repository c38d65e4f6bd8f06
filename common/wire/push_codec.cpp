#include "common/wire/push_codec.h"

#include <string>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/contact_codec.h"
#include "push.pb.h"

namespace espalier::wire {
namespace {

void fill(const PushOffer& offer, proto::PushOffer& out) {
  out.set_id(std::string(offer.id.view()));
  fill(offer.sender, *out.mutable_sender());
  out.set_via(offer.via.text());
  out.set_late(offer.late);
  out.set_end(static_cast<std::uint32_t>(offer.end));
  for (const auto& file : offer.files) {
    auto& entry = *out.add_files();
    entry.set_name(file.name);
    entry.set_size_bytes(file.sizeBytes);
    entry.set_root(std::string(file.root.view()));
  }
  for (const auto& id : offer.to) out.add_to(id.text());
  if (!offer.endHash.isZero()) out.set_end_hash(std::string(offer.endHash.view()));
  out.set_age_seconds(offer.ageSeconds);
  if (!offer.endProof.isZero()) out.set_end_proof(std::string(offer.endProof.view()));
}

void fill(const PushLedger& ledger, proto::PushLedger& out) {
  out.set_id(std::string(ledger.id.view()));
  out.set_end(static_cast<std::uint32_t>(ledger.end));
  for (const auto& entry : ledger.entries) {
    auto& field = *out.add_entries();
    field.set_version(entry.version);
    field.set_state(static_cast<std::uint32_t>(entry.state));
    fill(entry.peer, *field.mutable_peer());
    field.set_via(entry.via.text());
    field.set_late(entry.late);
    field.set_reason(entry.reason);
  }
  if (!ledger.endProof.isZero()) out.set_end_proof(std::string(ledger.endProof.view()));
}

Result<PushEnd> readEnd(std::uint32_t end) {
  if (end > static_cast<std::uint32_t>(PushEnd::cancelled)) {
    return malformed("an end of a push that this version does not know");
  }
  return static_cast<PushEnd>(end);
}

// Zero: there is none.
Result<PushEndProof> readProof(const std::string& in) {
  if (in.empty()) return PushEndProof();
  const auto proof = PushEndProof::fromRaw(in);
  if (!proof) return malformed(proof.error().message);
  return *proof;
}

Result<PushFile> read(const proto::PushFile& in) {
  if (in.name().empty() || in.name().size() > limits::kPathBytes) {
    return malformed("a name of " + std::to_string(in.name().size()) + " bytes");
  }
  if (in.name().find('\0') != std::string::npos) return malformed("a name with a zero byte");
  if (in.size_bytes() > limits::kFileBytes) return malformed("a file beyond all sizes");
  const auto root = FileRoot::fromRaw(in.root());
  if (!root) return malformed(root.error().message);
  return PushFile{in.name(), in.size_bytes(), *root};
}

Result<PushOffer> read(const proto::PushOffer& in) {
  PushOffer offer;
  const auto id = PushId::fromRaw(in.id());
  if (!id) return malformed(id.error().message);
  offer.id = *id;
  auto sender = readContact(in.sender());
  if (!sender) return sender.error();
  offer.sender = *std::move(sender);
  auto via = readPeerId(in.via());
  if (!via) return via.error();
  offer.via = *std::move(via);
  offer.late = in.late();
  const auto end = readEnd(in.end());
  if (!end) return end.error();
  offer.end = *end;
  const auto files = static_cast<std::size_t>(in.files_size());
  if (files == 0 || files > limits::kPushFiles) {
    return malformed("a push of " + std::to_string(files) + " files");
  }
  for (const auto& entry : in.files()) {
    auto file = read(entry);
    if (!file) return file.error();
    offer.files.push_back(*std::move(file));
  }
  if (static_cast<std::size_t>(in.to_size()) > limits::kPushTargets) {
    return malformed("a push to " + std::to_string(in.to_size()) + " named peers");
  }
  for (const auto& entry : in.to()) {
    auto peer = readPeerId(entry);
    if (!peer) return peer.error();
    offer.to.push_back(*std::move(peer));
  }
  const auto hash = readProof(in.end_hash());
  if (!hash) return hash.error();
  offer.endHash = *hash;
  const auto proof = readProof(in.end_proof());
  if (!proof) return proof.error();
  offer.endProof = *proof;
  offer.ageSeconds = in.age_seconds();
  if (!fitsOffer(offer.files, offer.to)) return malformed("an offer that fits no frame");
  return offer;
}

Result<PushEntry> read(const proto::PushEntry& in) {
  PushEntry entry;
  entry.version = in.version();
  if (in.state() > static_cast<std::uint32_t>(PushState::verified)) {
    return malformed("a state of a push that this version does not know");
  }
  entry.state = static_cast<PushState>(in.state());
  auto peer = readContact(in.peer());
  if (!peer) return peer.error();
  entry.peer = *std::move(peer);
  auto via = readOptionalPeerId(in.via());
  if (!via) return via.error();
  entry.via = (*std::move(via)).value_or(PeerId());
  entry.late = in.late();
  if (in.reason().size() > limits::kPushReasonBytes) return malformed("a reason without end");
  entry.reason = in.reason();
  return entry;
}

Result<PushLedger> read(const proto::PushLedger& in) {
  PushLedger ledger;
  const auto id = PushId::fromRaw(in.id());
  if (!id) return malformed(id.error().message);
  ledger.id = *id;
  const auto end = readEnd(in.end());
  if (!end) return end.error();
  ledger.end = *end;
  for (const auto& field : in.entries()) {
    auto entry = read(field);
    if (!entry) return entry.error();
    ledger.entries.push_back(*std::move(entry));
  }
  const auto proof = readProof(in.end_proof());
  if (!proof) return proof.error();
  ledger.endProof = *proof;
  return ledger;
}

}  // namespace

void toProto(const PushMessage& message, proto::Push& out) {
  if (const auto* offer = std::get_if<PushOffer>(&message)) {
    fill(*offer, *out.mutable_offer());
  } else {
    fill(std::get<PushLedger>(message), *out.mutable_ledger());
  }
}

Result<PushMessage> fromProto(const proto::Push& in) {
  switch (in.body_case()) {
    case proto::Push::kOffer: {
      auto offer = read(in.offer());
      if (!offer) return offer.error();
      return PushMessage(*std::move(offer));
    }
    case proto::Push::kLedger: {
      auto ledger = read(in.ledger());
      if (!ledger) return ledger.error();
      return PushMessage(*std::move(ledger));
    }
    case proto::Push::BODY_NOT_SET:
      break;
  }
  return malformed("a message of an unknown kind");
}

}  // namespace espalier::wire
