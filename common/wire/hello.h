// The first frame of every connection, Hello, and its answer: Welcome, or a Failure. They agree on
// the version and on the purpose of the connection. A dialler may send its first request directly
// behind the Hello. common/net/handshake.h sends and reads them. Errors have the code `protocol`.
// Values and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::wire {

inline constexpr std::uint32_t kVersionLeast = 1;
inline constexpr std::uint32_t kVersionMost = 1;

enum class Purpose { registry = 1, link = 2, transfer = 3, push = 4, cluster = 5, privates = 6 };

// Names one network.
using NetworkId = Bytes<16, struct NetworkIdTag>;

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
  NetworkId network = {};  // of a metaserver that welcomes a peer; zero: not told

  bool operator==(const Welcome&) const = default;
};

// Why a connection is closed, or a request is refused: a code, and a sentence for the user.
struct Failure {
  ErrorCode code = ErrorCode::failed;
  std::string message;
  bool isIdTaken = false;  // only in answer to a Join: the id is another peer's
  bool isNoRoom = false;   // likewise: nobody can take the peer

  bool operator==(const Failure&) const = default;
};

std::string encode(const Hello& hello);
// Also an error: no common version. Its message has the versions of both ends.
Result<Hello> decodeHello(std::string_view payload);

// The answer to a Hello: the highest version that both ends support.
Welcome welcomeFor(const Hello& hello, const NetworkId& network = {});
std::string encode(const Welcome& welcome);
std::string encode(const Failure& failure);
// A Failure in place of the Welcome is returned as the error.
Result<Welcome> decodeWelcome(std::string_view payload);

}  // namespace espalier::wire
