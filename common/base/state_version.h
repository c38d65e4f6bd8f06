// The versions of the files in state folders. Each file begins with its kind and a number, the
// version of its format:
//
//   text    "espalier-network 1 …"    the kind, a space, the number
//   binary  "ESPINDX1…"               the kind, one character: '1' to '9', 'A' (10) to 'Z' (35)
//
// A program reads the versions up to the one that it writes. It refuses newer ones and leaves the
// files unchanged for the newer program.
//
// Called by every reader of a state file. Stateless; keepDamaged() blocks on the disk.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier {

// The version behind `kind` at the beginning of `bytes`; none if `bytes` does not begin with that
// kind. A number that overflows counts as the largest.
std::optional<unsigned> textVersion(std::string_view bytes, std::string_view kind);
std::optional<unsigned> binaryVersion(std::string_view bytes, std::string_view kind);

// An error of code `configuration`, with a sentence for the user, if `found` is above `newest`.
Result<void> checkStateVersion(std::string_view path, unsigned found, unsigned newest);

// Links a damaged file under a second name, PATH.damaged, PATH.damaged-2 and so on, and returns
// that name, so that a user can recover data after PATH was replaced. After limits::kDamagedKept
// names the last one is replaced. `path` stays.
Result<std::string> keepDamaged(const std::string& path);

}  // namespace espalier
