// Randomness. Cores are handed a `Random&`, so that a simulation repeats exactly. Keys and network
// ids come from the kernel. A Random is for one thread; the functions that read the kernel are for
// any. Called by the shells of both programs.
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

// An id of random bytes from a seeded generator. Not for keys.
template <typename Id>
Id randomFrom(Random& random) {
  Id id;
  for (auto& byte : id.bytes) byte = static_cast<std::uint8_t>(random());
  return id;
}

}  // namespace espalier
