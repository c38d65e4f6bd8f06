// Gathers names that cannot be shared, so that the user gets one notice for a thousand unreadable
// files.
//
//   fresh --tell()--> told --solve()--> solved --tell()--> forgotten
//     any of them --drop()--> forgotten
//
// At most kToldPaths names of each kind; more are dropped without a notice. No I/O. Only the
// indexer's thread: the scanner and the file tracker add, the indexer calls tell() when nothing is
// being scanned or hashed.
#pragma once

#include <array>
#include <set>
#include <string>

#include "peer/share/share_notice.h"

namespace espalier::share {

enum class Problem { notUtf8, control, tooLong, tooDeep, dotName, unreadable, tooMany, restless };

class Problems {
 public:
  // `reason`: shown if this name becomes the example of a notice. No effect on a known name.
  void add(Problem problem, const std::string& name, const std::string& reason = {});
  // The file is shared again. The user is told if it was told of the problem.
  void solve(Problem problem, const std::string& name);
  // The file is gone. Nothing is told; the same problem would be news again.
  void drop(Problem problem, const std::string& name);
  // At most two notices of each kind, for new and for solved problems: an example, and how many
  // others there are.
  void tell(const Notify& notify);

 private:
  static constexpr std::size_t kKinds = 8;
  struct Kind {
    std::set<std::string> told;  // together with `fresh` at most kToldPaths
    std::set<std::string> fresh;
    std::set<std::string> solved;
    std::string reason;  // of the first name of `fresh`
  };
  std::array<Kind, kKinds> kinds_;
};

}  // namespace espalier::share
