// What cannot be shared, gathered so that a thousand unreadable files are one notice. One thread's.
#pragma once

#include <array>
#include <set>
#include <string>

#include "peer/share/notice.h"

namespace espalier::share {

enum class Problem { notUtf8, control, tooLong, tooDeep, dotName, unreadable, tooMany, restless };

class Problems {
 public:
  // `reason`: of this one, for the notice's example. Nothing if it is known already.
  void add(Problem problem, const std::string& name, const std::string& reason = {});
  // It is shared again, which is told if the problem was.
  void solve(Problem problem, const std::string& name);
  // It is gone: nothing is told, and it would be news again.
  void drop(Problem problem, const std::string& name);
  // One notice a kind that has something new to tell, with a count and an example.
  void tell(const Notify& notify);

 private:
  static constexpr std::size_t kKinds = 8;
  struct Kind {
    std::set<std::string> told;  // with the fresh ones at most kToldPaths, as `solved`
    std::set<std::string> fresh;
    std::set<std::string> solved;
    std::string reason;  // of the first that is fresh
  };
  std::array<Kind, kKinds> kinds_;
};

}  // namespace espalier::share
