// Upper bounds of the bytes of protobuf fields, for static_asserts that a message fits a frame.
#pragma once

#include <cstddef>
#include <cstdint>

namespace espalier::wire {

constexpr std::size_t varintBytes(std::uint64_t most) {
  std::size_t bytes = 1;
  for (; most >= 0x80; most >>= 7) ++bytes;
  return bytes;
}
inline constexpr std::size_t kTagBytes = 1;  // of fields up to 15
// A number up to `most`.
constexpr std::size_t numberBytes(std::uint64_t most) {
  return kTagBytes + varintBytes(most);
}
// A text, a list or a message of at most so many bytes.
constexpr std::size_t fieldBytes(std::size_t most) {
  return kTagBytes + varintBytes(most) + most;
}

inline constexpr std::uint64_t kAnyNumber = ~0ull;

}  // namespace espalier::wire
