// Characters, canonical equivalence and case: the only place that decodes UTF-8 or folds case.
//
// Two spellings of one text are compared in the form NFC (ö is one character, however it was
// typed). Comparisons that ignore case use Unicode's full case folding (Straße = STRASSE, Σ = σ =
// ς): the canonical caseless match of the Unicode Standard, D145. Compatibility forms (NFKC) are
// not used, because x² would then find x2. NFD is not used, because `a` would then be found in `ä`:
// a base letter and its mark are one character.
//
// Cost: linear in the text, whatever its content (marks are sorted in n log n). The result has at
// most four characters for each character of the text. Pure functions, used by patterns of
// searches, text.h and printing.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace espalier {

// A byte that is not part of well-formed UTF-8 (overlong forms and surrogates are not well-formed)
// becomes a value above all code points: kRawByte + the byte. It equals no character.
inline constexpr char32_t kRawByte = 0x110000;

// Removes the first character of a text that is not empty, and returns it.
char32_t takeCharacter(std::string_view& text);

inline bool isAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}
inline char foldedAscii(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// The characters of `text` in the form NFC, in their case.
std::u32string composed(std::string_view text);
// Whether it is in that form already.
bool isComposed(std::string_view text);
// The same after full case folding: two texts are the same but for case if these are equal.
std::u32string caseFolded(std::string_view text);

}  // namespace espalier
