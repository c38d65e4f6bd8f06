// Randomness. Cores are handed a seeded generator, so that a simulation repeats exactly; keys come
// from the kernel.
#pragma once

#include <cstdint>
#include <random>
#include <span>

namespace espalier {

using Random = std::mt19937_64;

// Fills `bytes` from getrandom(2), which does not fail on supported kernels; asserts if it does.
void fillFromKernel(std::span<std::uint8_t> bytes);

// A generator whose whole state comes from the kernel, so that its seed cannot be guessed.
Random seededFromKernel();

// A key or id of random bytes from the kernel.
template <typename Id>
Id randomFromKernel() {
  Id id;
  fillFromKernel(id.bytes);
  return id;
}

// The same from a seeded generator.
template <typename Id>
Id randomFrom(Random& random) {
  Id id;
  for (auto& byte : id.bytes) byte = static_cast<std::uint8_t>(random());
  return id;
}

}  // namespace espalier
