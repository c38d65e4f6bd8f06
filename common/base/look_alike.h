// Names that look alike but differ, as `s4` in Latin and in Cyrillic letters. Pure functions.
//
// Source: the most common pairs of Unicode's confusables.txt for Latin letters and digits, by
// letters of Greek and Cyrillic and by fullwidth forms. The list is not complete: it is help for
// people, and no protection.
#pragma once

#include <string>
#include <string_view>

namespace espalier {

// The same for names that look alike, also of ASCII letters and digits (l, 1, I; O, 0).
std::string skeletonOf(std::string_view name);

// The name, safe to print as by escaped(). If all its letters look like ASCII ones, or some of them
// are, the others that do are shown as \u{NNNN}: so nobody passes for somebody else.
std::string shownName(std::string_view name);

// In what two names differ that look alike: "1 is U+0031, l is U+006C", for the first character.
std::string differenceOf(std::string_view name, std::string_view other);

}  // namespace espalier
