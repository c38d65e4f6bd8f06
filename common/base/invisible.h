// Characters that are not shown: two names that differ only in them look the same.
//
// Source: the property Default_Ignorable_Code_Point of Unicode 15.0 (DerivedCoreProperties.txt),
// which has the zero-width characters, the soft hyphen, fillers, variation selectors, tags and what
// is reserved for more of the kind; and a few blank characters without that property. White space
// and control characters are not in it: see text.h.
#pragma once

namespace espalier {

bool isInvisible(char32_t character);

// Those that shape the character before them: joiners and variation selectors. Behind a character
// of a script that uses them (Persian, emoji) they belong to how a word is written.
bool isJoinerOrSelector(char32_t character);

}  // namespace espalier
