// The bytes of an input as choices: for fuzz targets that build valid messages and steps from them.
// Used with tests/support/lies.h. An input that has ended chooses 0 always.
#pragma once

#include <cstdint>
#include <string_view>

#include "tests/fuzz/fuzz.h"

namespace espalier::fuzz {

class Choices {
 public:
  explicit Choices(std::string_view input) : input_(input) {}

  bool empty() const { return input_.empty(); }
  // 0 to bound - 1; takes as many bytes as the bound needs.
  std::uint64_t below(std::uint64_t bound) {
    if (bound <= 1) return 0;
    std::uint64_t value = 0;
    for (std::uint64_t rest = bound - 1; rest > 0; rest >>= 8) {
      value = value << 8 | takeByte(input_);
    }
    return value % bound;
  }
  bool oneIn(std::uint64_t bound) { return below(bound) == 0; }
  std::string_view take(std::size_t most) {
    const auto part = input_.substr(0, most);
    input_.remove_prefix(part.size());
    return part;
  }
  std::string_view rest() { return take(input_.size()); }

 private:
  std::string_view input_;
};

}  // namespace espalier::fuzz
