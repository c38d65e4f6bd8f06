// What cannot be shared, gathered so that a thousand unreadable files are one notice. One thread's.
#pragma once

#include <array>
#include <functional>
#include <set>
#include <string>

#include "peer/share/share_index.h"

namespace espalier::share {

enum class Problem { notUtf8, tooLong, unreadable, tooMany, restless };

class Problems {
 public:
  void add(Problem problem, const std::string& path);
  // One notice a kind that has something new to tell, with a count and an example.
  void tell(const std::function<void(const Notice&)>& onNotice);

 private:
  static constexpr std::size_t kKinds = 5;
  struct Kind {
    std::set<std::string> paths;  // at most kToldPaths
    std::string first;
    bool news = false;
  };
  std::array<Kind, kKinds> kinds_;
};

}  // namespace espalier::share
