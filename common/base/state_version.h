// The versions of the files in state folders. Each file begins with its kind and a number, the
// version of its format:
//
//   text    "espalier-network 1 …"    the kind, a space, the number
//   binary  "ESPINDX1…"               the kind, one character: '1' to '9', 'A' (10) to 'Z' (35)
//
// A program reads the versions up to the one that it writes. It refuses newer ones, and leaves them
// as they are: a newer program can go on with them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier {

// The version behind `kind` at the beginning of `bytes`; none if it does not begin with that kind.
// A number that is too large to be read counts as the largest.
std::optional<unsigned> textVersion(std::string_view bytes, std::string_view kind);
std::optional<unsigned> binaryVersion(std::string_view bytes, std::string_view kind);

// An error of code `configuration`, with a sentence for the user, if `found` is above `newest`.
Result<void> checkStateVersion(std::string_view path, unsigned found, unsigned newest);

// Keeps a damaged file under a second name, PATH.damaged or PATH.damaged-2 and so on, and returns
// that name: a user may still read something out of it after PATH was replaced. After
// limits::kDamagedKept of them the last one is replaced. `path` stays.
Result<std::string> keepDamaged(const std::string& path);

}  // namespace espalier
