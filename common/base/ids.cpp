#include "common/base/ids.h"

#include <fmt/format.h>

#include "common/base/invisible.h"
#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier {
namespace {

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<void> checkName(std::string_view text, std::string_view noun) {
  const auto refuse = [&](std::string_view why) {
    return Error{ErrorCode::usage, fmt::format("\"{}\" is no {}: {}", escaped(text), noun, why)};
  };
  if (text.empty()) return refuse("it is empty");
  if (text.size() > limits::kPeerIdBytes) {
    return Error{ErrorCode::usage, fmt::format("a {} has at most {} bytes, not {}", noun,
                                               limits::kPeerIdBytes, text.size())};
  }
  if (text.starts_with('.')) return refuse("it begins with a dot");
  if (!isUtf8(text)) return refuse("it is not UTF-8");
  if (text.find_first_of(":/") != std::string_view::npos) return refuse("it has a ':' or a '/'");
  if (const auto unseen = findUnseen(text)) {
    if (!isInvisible(*unseen)) return refuse("it has a space or a control character");
    return refuse(fmt::format("it has the invisible character U+{:04X}",
                              static_cast<std::uint32_t>(*unseen)));
  }
  return {};
}

std::string toHex(std::string_view raw) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex(raw.size() * 2, '0');
  auto* digit = hex.data();
  for (const char c : raw) {
    const auto byte = static_cast<unsigned char>(c);
    *digit++ = kDigits[byte >> 4];
    *digit++ = kDigits[byte & 15];
  }
  return hex;
}

bool fillFromHex(std::string_view hex, std::span<std::uint8_t> raw) {
  if (hex.size() != raw.size() * 2) return false;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const int high = hexDigit(hex[2 * i]);
    const int low = hexDigit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    raw[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

Result<FileRoot> parseFileRoot(std::string_view hex) {
  if (const auto root = fromHex<FileRoot>(hex)) return *root;
  return Error{ErrorCode::usage, "a file root has 64 hexadecimal digits"};
}

}  // namespace espalier
