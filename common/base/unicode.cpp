#include "common/base/unicode.h"

#include <utf8proc.h>

#include <array>
#include <cstddef>
#include <vector>

namespace espalier {
namespace {

using Character = utf8proc_int32_t;
using Characters = std::vector<Character>;

constexpr int kDecompose = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
constexpr int kCompose = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
constexpr std::size_t kMostOfOne = 32;  // characters that one becomes; Unicode knows 4

bool isRaw(Character c) {
  return c >= static_cast<Character>(kRawByte);
}

// The combining class of a mark; 0: a character that marks combine with.
int combiningClass(Character c) {
  return isRaw(c) ? 0 : utf8proc_get_property(c)->combining_class;
}

// Those whose folding depends on the marks around them: iota below a letter.
bool hasIotaBelow(Character c) {
  return c == 0x345 || (c >= 0x1f80 && c <= 0x1ffc);
}

Characters charactersOf(std::string_view text) {
  Characters result;
  result.reserve(text.size());
  while (!text.empty()) result.push_back(static_cast<Character>(takeCharacter(text)));
  return result;
}

// Canonical decomposition, in canonical order. utf8proc_decompose() itself takes the square of the
// number of marks in a row to sort them.
Characters decomposed(const Characters& text, int options) {
  Characters result;
  result.reserve(text.size() + text.size() / 2);
  std::array<Character, kMostOfOne> parts{};
  int boundary = 0;
  for (const Character c : text) {
    const auto count =
        isRaw(c) ? -1
                 : utf8proc_decompose_char(c, parts.data(), parts.size(),
                                           static_cast<utf8proc_option_t>(options), &boundary);
    if (count < 0 || static_cast<std::size_t>(count) > parts.size()) {
      result.push_back(c);
    } else {
      result.insert(result.end(), parts.begin(), parts.begin() + count);
    }
  }
  for (auto begin = result.begin(); begin != result.end();) {
    if (combiningClass(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, result.end(), [](Character c) { return combiningClass(c) == 0; });
    std::stable_sort(
        begin, end, [](Character a, Character b) { return combiningClass(a) < combiningClass(b); });
    begin = end;
  }
  return result;
}

// Canonical composition of what decomposed() made.
std::u32string recomposed(Characters text) {
  std::u32string result;
  result.reserve(text.size());
  for (auto begin = text.begin(); begin != text.end();) {
    const auto end = std::find_if(begin, text.end(), isRaw);  // utf8proc must not see them
    if (begin != end) {
      const auto length =
          utf8proc_normalize_utf32(&*begin, end - begin, static_cast<utf8proc_option_t>(kCompose));
      result.append(begin, length < 0 ? end : begin + length);
    }
    begin = end;
    if (begin != text.end()) result += static_cast<char32_t>(*begin++);
  }
  return result;
}

std::u32string normalized(const Characters& characters, bool fold) {
  if (!fold) return recomposed(decomposed(characters, kDecompose));
  const bool twice = std::any_of(characters.begin(), characters.end(), hasIotaBelow);
  return recomposed(decomposed(twice ? decomposed(characters, kDecompose) : characters,
                               kDecompose | UTF8PROC_CASEFOLD));
}

// The fast path for most names: for each character of the alphabets up to U+07FF the one character
// that it folds to; 0 if it folds to several, or is a mark. None of them combines with another.
constexpr std::size_t kQuick = 0x800;
using QuickTable = std::array<char32_t, kQuick>;

QuickTable quickTable(bool fold) {
  QuickTable table{};
  for (Character c = 0; c < static_cast<Character>(kQuick); ++c) {
    const auto result = normalized({c}, fold);
    if (result.size() == 1 && result[0] < kQuick && combiningClass(c) == 0) {
      table[static_cast<std::size_t>(c)] = result[0];
    }
  }
  return table;
}

// Kana, ideographs and syllables of Hangul: they have no case, and marks that would combine with
// them are not among them.
bool isItself(char32_t c) {
  return (c >= 0x3041 && c <= 0x3096) || (c >= 0x30a1 && c <= 0x30fa) ||
         (c >= 0x3400 && c <= 0x9fff) || (c >= 0xac00 && c <= 0xd7a3) || c >= kRawByte;
}

std::u32string normalized(std::string_view text, bool fold) {
  static const std::array<QuickTable, 2> kTables = {quickTable(false), quickTable(true)};
  std::u32string result;
  result.reserve(text.size());
  for (auto rest = text; !rest.empty();) {
    const char32_t c = takeCharacter(rest);
    const char32_t quick = c < kQuick ? kTables[fold ? 1 : 0][c] : isItself(c) ? c : 0;
    if (quick == 0) return normalized(charactersOf(text), fold);
    result += quick;
  }
  return result;
}

}  // namespace

char32_t takeCharacter(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const char32_t first = byte(0);
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0x80 ? 2 : 1;
  bool good = size == 1 || (first >= 0xc2 && first <= 0xf4 && size <= text.size());
  char32_t character = size == 1 ? first : first & (0xffu >> (size + 1));
  for (std::size_t i = 1; good && i < size; ++i) {
    good = (byte(i) & 0xc0) == 0x80;
    character = character << 6 | (byte(i) & 0x3fu);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  good = good && character >= kSmallest[size] && character < kRawByte &&
         (character < 0xd800 || character > 0xdfff);
  text.remove_prefix(good ? size : 1);
  return good ? character : kRawByte + first;
}

std::u32string composed(std::string_view text) {
  return normalized(text, false);
}

bool isComposed(std::string_view text) {
  if (isAscii(text)) return true;
  const auto form = composed(text);
  std::size_t at = 0;
  while (!text.empty()) {
    if (at == form.size() || takeCharacter(text) != form[at++]) return false;
  }
  return at == form.size();
}

std::u32string caseFolded(std::string_view text) {
  return normalized(text, true);
}

}  // namespace espalier
