#include "peer/core/push_id.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/crypto/sha256.h"

namespace espalier::peer {
namespace {

constexpr std::size_t kRandomBytes = 8;

void append(std::string& to, std::uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) to.push_back(static_cast<char>(number >> shift));
}

void append(std::string& to, std::string_view text) {
  append(to, text.size());
  to += text;
}

// The random bytes of the id, the sender, the recipients, and the files.
std::string contentOf(const wire::PushOffer& offer) {
  std::string all(offer.id.view().substr(0, kRandomBytes));
  append(all, offer.sender.id.text());
  append(all, offer.to.size());
  for (const auto& id : offer.to) append(all, id.text());
  for (const auto& file : offer.files) {
    append(all, file.name);
    append(all, file.sizeBytes);
    all += file.root.view();
  }
  return all;
}

Digest hash(std::string_view text) {
  return crypto::sha256(std::as_bytes(std::span(text)));
}

PushEndProof proofFrom(std::string_view text) {
  const Digest digest = hash(text);
  PushEndProof proof;
  std::copy_n(digest.bytes.begin(), proof.bytes.size(), proof.bytes.begin());
  return proof;
}

PushEndProof endHashOf(const wire::PushOffer& offer, const InstanceKey& key) {
  return proofFrom(endProofOf(offer, key, wire::PushEnd::closed).view());
}

}  // namespace

void sealOffer(wire::PushOffer& offer, const InstanceKey& key) {
  offer.endHash = endHashOf(offer, key);
  offer.id = committedId(offer);
}

bool isSealedWith(const wire::PushOffer& offer, const InstanceKey& key) {
  return offer.endHash == endHashOf(offer, key);
}

PushId committedId(const wire::PushOffer& offer) {
  std::string all = contentOf(offer);
  if (!offer.endHash.isZero()) all += offer.endHash.view();
  const Digest digest = hash(all);
  PushId id = offer.id;
  std::copy_n(digest.bytes.begin(), id.bytes.size() - kRandomBytes,
              id.bytes.begin() + kRandomBytes);
  return id;
}

bool isCommitted(const wire::PushOffer& offer) {
  return committedId(offer) == offer.id;
}

PushEndProof endProofOf(const wire::PushOffer& offer, const InstanceKey& key, wire::PushEnd end) {
  const PushEndProof cancelled = proofFrom(std::string(key.view()) + contentOf(offer));
  return end == wire::PushEnd::cancelled ? cancelled : proofFrom(cancelled.view());
}

bool provesEnd(const wire::PushOffer& offer, wire::PushEnd end, const PushEndProof& proof) {
  PushEndProof hashed = proofFrom(proof.view());
  if (end == wire::PushEnd::cancelled) hashed = proofFrom(hashed.view());
  return hashed == offer.endHash;
}

}  // namespace espalier::peer
