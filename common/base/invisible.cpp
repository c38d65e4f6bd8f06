#include "common/base/invisible.h"

#include <algorithm>
#include <array>

namespace espalier {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

constexpr std::array<Range, 25> kInvisible = {{
    {0x00AD, 0x00AD},    // soft hyphen
    {0x034F, 0x034F},    // combining grapheme joiner
    {0x061C, 0x061C},    // Arabic letter mark
    {0x115F, 0x1160},    // Hangul fillers
    {0x17B4, 0x17B5},    // Khmer inherent vowels
    {0x180B, 0x180F},    // Mongolian variation selectors and vowel separator
    {0x200B, 0x200F},    // zero-width space, joiners, marks of direction
    {0x202A, 0x202E},    // bidirectional embeddings and overrides
    {0x2060, 0x206F},    // word joiner, invisible operators, isolates, deprecated format characters
    {0x2800, 0x2800},    // Braille pattern blank
    {0x3164, 0x3164},    // Hangul filler
    {0xFDD0, 0xFDEF},    // noncharacters
    {0xFE00, 0xFE0F},    // variation selectors
    {0xFEFF, 0xFEFF},    // zero-width no-break space, the byte-order mark
    {0xFFA0, 0xFFA0},    // halfwidth Hangul filler
    {0xFFF0, 0xFFF8},    // reserved for such
    {0xFFF9, 0xFFFB},    // interlinear annotation
    {0xFFFE, 0xFFFF},    // noncharacters
    {0x13430, 0x1343F},  // Egyptian hieroglyph format controls
    {0x16FE4, 0x16FE4},  // Khitan small script filler
    {0x1BCA0, 0x1BCA3},  // shorthand format controls
    {0x1D159, 0x1D159},  // musical symbol null notehead
    {0x1D173, 0x1D17A},  // musical symbol format controls
    {0x1FFFE, 0x1FFFF},  // noncharacters
    {0xE0000, 0xE0FFF},  // tags, variation selectors supplement, reserved for such
}};
static_assert(std::ranges::is_sorted(kInvisible, {}, &Range::first));

}  // namespace

bool isInvisible(char32_t character) {
  if (character < kInvisible.front().first) return false;
  // The last two code points of each plane are noncharacters.
  if ((character & 0xFFFE) == 0xFFFE) return true;
  const auto after = std::ranges::upper_bound(kInvisible, character, {}, &Range::first);
  return after != kInvisible.begin() && character <= std::prev(after)->last;
}

bool isJoinerOrSelector(char32_t character) {
  return character == 0x200C || character == 0x200D || (character >= 0xFE00 && character <= 0xFE0F);
}

}  // namespace espalier
