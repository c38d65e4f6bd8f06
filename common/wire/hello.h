// The first frame of every connection and its answer: version, features, and what the connection is
// for. A dialler may send its first request right behind the Hello, without waiting for the
// Welcome.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier::wire {

inline constexpr std::uint32_t kVersionLeast = 1;
inline constexpr std::uint32_t kVersionMost = 1;

enum class Purpose { registry = 1, link = 2, transfer = 3, push = 4 };

struct Hello {
  std::uint32_t versionLeast = kVersionLeast;
  std::uint32_t versionMost = kVersionMost;
  Purpose purpose = Purpose::registry;
  std::uint64_t features = 0;

  bool operator==(const Hello&) const = default;
};

struct Welcome {
  std::uint32_t version = kVersionMost;
  std::uint64_t features = 0;

  bool operator==(const Welcome&) const = default;
};

// Ends a connection, or answers one request, with a reason that a person can read.
struct Failure {
  ErrorCode code = ErrorCode::failed;
  std::string message;

  bool operator==(const Failure&) const = default;
};

std::string encode(const Hello& hello);
// A Hello of no version that we speak is an error too: its message says which each side has.
Result<Hello> decodeHello(std::string_view payload);

// What answers a Hello: the highest version that both speak.
Welcome welcomeFor(const Hello& hello);
std::string encode(const Welcome& welcome);
std::string encode(const Failure& failure);
// A Failure in the Welcome's place becomes the error.
Result<Welcome> decodeWelcome(std::string_view payload);

}  // namespace espalier::wire
