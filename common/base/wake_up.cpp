#include "common/base/wake_up.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace espalier {

WakeUp::WakeUp() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

Result<WakeUp> WakeUp::create() {
  WakeUp made;
  if (!made) return systemError("cannot create an eventfd", errno);
  return made;
}

void WakeUp::wake() const {
  const std::uint64_t one = 1;
  // It fails only where the counter is full; then the descriptor is readable.
  [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
}

void WakeUp::clear() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto taken = ::read(event_.get(), &count, sizeof count);
}

}  // namespace espalier
