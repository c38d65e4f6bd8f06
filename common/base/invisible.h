// Characters that are not shown: two names that differ only in them look the same. Pure functions;
// used by ids.cpp and text.cpp.
//
// Source: the property Default_Ignorable_Code_Point of Unicode 15.0 (DerivedCoreProperties.txt):
// zero-width characters, the soft hyphen, fillers, variation selectors, tags, and code points that
// are reserved for such characters. Also some blank characters without that property. Not included:
// white space and control characters (see text.h).
#pragma once

namespace espalier {

bool isInvisible(char32_t character);

// Joiners and variation selectors: they change the form of the character before them. Behind a
// character of a script that uses them (Persian, emoji) they are a part of the spelling.
bool isJoinerOrSelector(char32_t character);

}  // namespace espalier
