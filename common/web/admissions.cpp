#include "common/web/admissions.h"

#include <array>
#include <cstdint>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/random.h"

namespace espalier::web {
namespace {

std::string randomText() {
  std::array<std::uint8_t, 32> bytes{};
  fillFromKernel(bytes);
  return toHex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

// The length is no secret.
bool isSame(std::string_view one, std::string_view other) {
  if (one.size() != other.size()) return false;
  volatile unsigned char differs = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    differs = static_cast<unsigned char>(differs | (one[i] ^ other[i]));
  }
  return differs == 0;
}

}  // namespace

std::string Admissions::newSecret(TimePoint now) {
  if (secrets_.size() >= limits::kWebSecrets) secrets_.pop_front();
  secrets_.push_back({randomText(), now + limits::kWebSecretLife});
  return secrets_.back().text;
}

std::optional<std::string> Admissions::exchange(std::string_view secret, TimePoint now) {
  std::erase_if(secrets_, [&](const Secret& one) { return one.until <= now; });
  bool isKnown = false;
  std::erase_if(secrets_, [&](const Secret& one) {
    const bool isThis = isSame(one.text, secret);
    isKnown = isKnown || isThis;
    return isThis;
  });
  if (!isKnown) return std::nullopt;
  if (tokens_.size() >= limits::kWebTokens) tokens_.pop_front();
  tokens_.push_back(randomText());
  return tokens_.back();
}

bool Admissions::mayUse(std::string_view token) const {
  bool isKnown = false;
  for (const auto& one : tokens_) isKnown = isSame(one, token) || isKnown;
  return isKnown;
}

}  // namespace espalier::web
