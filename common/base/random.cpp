#include "common/base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace espalier {

void fillFromKernel(std::span<std::uint8_t> bytes) {
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const auto got = ::getrandom(bytes.data() + filled, bytes.size() - filled, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) std::abort();
    filled += static_cast<std::size_t>(got);
  }
}

namespace {

// Like std::seed_seq, but each word of the generator's state comes from the kernel.
struct KernelSeeds {
  using result_type = std::uint32_t;
  template <typename Iterator>
  void generate(Iterator begin, Iterator end) {
    for (; begin != end; ++begin) {
      std::uint32_t word = 0;
      fillFromKernel({reinterpret_cast<std::uint8_t*>(&word), sizeof word});
      *begin = word;
    }
  }
};

}  // namespace

Random seededFromKernel() {
  KernelSeeds seeds;
  return Random(seeds);
}

}  // namespace espalier
