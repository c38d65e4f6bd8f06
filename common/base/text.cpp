#include "common/base/text.h"

#include <fmt/format.h>

#include <array>

#include "common/base/invisible.h"
#include "common/base/unicode.h"

namespace espalier {
namespace {

bool isControl(char32_t c) {
  const bool bidirectional = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
                             c == 0x200E || c == 0x200F || c == 0x061C;
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || bidirectional || c == 0x2028 || c == 0x2029 ||
         c == 0xFEFF;
}

bool isSpace(char32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200D) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x2060 || c == 0x3000;
}

}  // namespace

bool isUtf8(std::string_view text) {
  while (!text.empty()) {
    if (takeCharacter(text) >= kRawByte) return false;
  }
  return true;
}

std::string_view cutUtf8(std::string_view text, std::size_t mostBytes) {
  if (text.size() <= mostBytes) return text;
  // A character has at most three bytes after its first; more is no UTF-8.
  for (std::size_t back = 0; back < 4 && back <= mostBytes; ++back) {
    const std::size_t end = mostBytes - back;
    if ((static_cast<unsigned char>(text[end]) & 0xC0) != 0x80) return text.substr(0, end);
  }
  return text.substr(0, mostBytes);
}

std::optional<char32_t> findUnseen(std::string_view text) {
  while (!text.empty()) {
    const auto character = takeCharacter(text);
    if (character >= kRawByte || isSpace(character) || isControl(character) ||
        isInvisible(character)) {
      return character;
    }
  }
  return std::nullopt;
}

std::string escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  bool shapes = false;  // Whether a joiner may follow.
  while (!text.empty()) {
    const auto begin = text;
    const auto value = takeCharacter(text);
    const bool hidden = isInvisible(value) && !(shapes && isJoinerOrSelector(value));
    shapes = value >= 0x80 && value < kRawByte && !hidden && !isControl(value) && !isSpace(value);
    if (value >= kRawByte) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(begin[0]));
    } else if (value == '\\') {
      result += "\\\\";
    } else if (value == '\n') {
      result += "\\n";
    } else if (value == '\t') {
      result += "\\t";
    } else if (value == '\r') {
      result += "\\r";
    } else if (hidden || isControl(value)) {
      result += value < 0x100 ? fmt::format("\\x{:02x}", static_cast<unsigned>(value))
                              : fmt::format("\\u{{{:04x}}}", static_cast<unsigned>(value));
    } else {
      result += begin.substr(0, begin.size() - text.size());
    }
  }
  return result;
}

std::string escapedJson(std::string_view json) {
  std::string result;
  result.reserve(json.size());
  const auto append = [&](unsigned unit) { result += fmt::format("\\u{:04x}", unit); };
  while (!json.empty()) {
    const auto begin = json;
    const auto value = takeCharacter(json);
    if (value >= kRawByte) {
      result += "\xEF\xBF\xBD";
    } else if (!isControl(value) || value == '\n') {
      result += begin.substr(0, begin.size() - json.size());
    } else if (value < 0x10000) {
      append(static_cast<unsigned>(value));
    } else {
      append(0xD800u + static_cast<unsigned>((value - 0x10000) >> 10));
      append(0xDC00u + static_cast<unsigned>((value - 0x10000) & 0x3FF));
    }
  }
  return result;
}

std::string formatSize(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  constexpr std::array kUnits = {"kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string formatRate(double bytesPerSecond) {
  return formatSize(static_cast<std::uint64_t>(bytesPerSecond < 0 ? 0 : bytesPerSecond)) + "/s";
}

std::string formatDuration(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds < 9.995) return fmt::format("{:.2f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string counted(std::uint64_t count, std::string_view singular, std::string_view plural) {
  if (count == 1) return fmt::format("1 {}", singular);
  return plural.empty() ? fmt::format("{} {}s", count, singular)
                        : fmt::format("{} {}", count, plural);
}

}  // namespace espalier
