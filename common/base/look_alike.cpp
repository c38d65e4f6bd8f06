#include "common/base/look_alike.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/text.h"
#include "common/base/unicode.h"

namespace espalier {
namespace {

struct Pair {
  char32_t character;
  char looksLike;
};

// By character.
constexpr std::array kPairs = {
    Pair{0x0391, 'A'}, Pair{0x0392, 'B'}, Pair{0x0395, 'E'}, Pair{0x0396, 'Z'}, Pair{0x0397, 'H'},
    Pair{0x0399, 'I'}, Pair{0x039A, 'K'}, Pair{0x039C, 'M'}, Pair{0x039D, 'N'}, Pair{0x039F, 'O'},
    Pair{0x03A1, 'P'}, Pair{0x03A4, 'T'}, Pair{0x03A5, 'Y'}, Pair{0x03A7, 'X'}, Pair{0x03BF, 'o'},
    Pair{0x03C1, 'p'}, Pair{0x03C5, 'u'}, Pair{0x03F2, 'c'}, Pair{0x03F3, 'j'}, Pair{0x0405, 'S'},
    Pair{0x0406, 'I'}, Pair{0x0408, 'J'}, Pair{0x0410, 'A'}, Pair{0x0412, 'B'}, Pair{0x0415, 'E'},
    Pair{0x0417, '3'}, Pair{0x041A, 'K'}, Pair{0x041C, 'M'}, Pair{0x041D, 'H'}, Pair{0x041E, 'O'},
    Pair{0x0420, 'P'}, Pair{0x0421, 'C'}, Pair{0x0422, 'T'}, Pair{0x0425, 'X'}, Pair{0x0430, 'a'},
    Pair{0x0435, 'e'}, Pair{0x043E, 'o'}, Pair{0x0440, 'p'}, Pair{0x0441, 'c'}, Pair{0x0443, 'y'},
    Pair{0x0445, 'x'}, Pair{0x0455, 's'}, Pair{0x0456, 'i'}, Pair{0x0458, 'j'}, Pair{0x04AE, 'Y'},
    Pair{0x04BB, 'h'}, Pair{0x04C0, 'l'}, Pair{0x0501, 'd'}, Pair{0x051B, 'q'}, Pair{0x051D, 'w'}};

// Zero: none that is not ASCII itself.
char asciiLikeOf(char32_t character) {
  if (character >= 0xFF01 && character <= 0xFF5E) return static_cast<char>(character - 0xFEE0);
  const auto pair =
      std::lower_bound(kPairs.begin(), kPairs.end(), character,
                       [](const Pair& one, char32_t wanted) { return one.character < wanted; });
  return pair != kPairs.end() && pair->character == character ? pair->looksLike : '\0';
}

bool isAsciiLetter(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

std::string skeletonOf(std::string_view name) {
  std::string skeleton;
  while (!name.empty()) {
    const auto begin = name;
    const auto character = takeCharacter(name);
    const char like = character < 0x80 ? static_cast<char>(character) : asciiLikeOf(character);
    if (like == '0' || like == 'O') {
      skeleton += 'o';
    } else if (like == '1' || like == 'I' || like == '|') {
      skeleton += 'l';
    } else if (like != '\0') {
      skeleton += like;
    } else {
      skeleton += begin.substr(0, begin.size() - name.size());
    }
  }
  return skeleton;
}

std::string differenceOf(std::string_view name, std::string_view other) {
  const auto described = [](std::string_view& rest) {
    const auto begin = rest;
    const auto character = rest.empty() ? 0 : takeCharacter(rest);
    return fmt::format("{} is U+{:04X}", escaped(begin.substr(0, begin.size() - rest.size())),
                       static_cast<unsigned>(character));
  };
  const auto apart = std::ranges::mismatch(name, other);
  auto at = static_cast<std::size_t>(apart.in1 - name.begin());
  // To the beginning of the character.
  while (at > 0 && at < name.size() && (static_cast<unsigned char>(name[at]) & 0xC0) == 0x80) --at;
  auto one = name.substr(std::min(at, name.size()));
  auto two = other.substr(std::min(at, other.size()));
  return described(one) + ", " + described(two);
}

std::string shownName(std::string_view name) {
  bool hasAscii = false;
  bool hasLike = false;
  bool hasOther = false;
  for (auto rest = name; !rest.empty();) {
    const auto character = takeCharacter(rest);
    hasAscii |= isAsciiLetter(character);
    if (character < 0x80) continue;
    (asciiLikeOf(character) != '\0' ? hasLike : hasOther) = true;
  }
  if (!hasLike || (hasOther && !hasAscii)) return escaped(name);
  std::string shown;
  while (!name.empty()) {
    const auto begin = name;
    const auto character = takeCharacter(name);
    if (character >= 0x80 && asciiLikeOf(character) != '\0') {
      shown += fmt::format("\\u{{{:04x}}}", static_cast<unsigned>(character));
    } else {
      shown += escaped(begin.substr(0, begin.size() - name.size()));
    }
  }
  return shown;
}

}  // namespace espalier
