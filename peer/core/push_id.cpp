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

}  // namespace

PushId committedId(const wire::PushOffer& offer) {
  std::string all(offer.id.view().substr(0, kRandomBytes));
  append(all, offer.sender.id.text());
  append(all, offer.to.size());
  for (const auto& id : offer.to) append(all, id.text());
  for (const auto& file : offer.files) {
    append(all, file.name);
    append(all, file.sizeBytes);
    all += file.root.view();
  }
  const Digest digest = crypto::sha256(std::as_bytes(std::span(all)));
  PushId id = offer.id;
  std::copy_n(digest.bytes.begin(), id.bytes.size() - kRandomBytes,
              id.bytes.begin() + kRandomBytes);
  return id;
}

bool isCommitted(const wire::PushOffer& offer) {
  return committedId(offer) == offer.id;
}

}  // namespace espalier::peer
