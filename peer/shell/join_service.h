// Joining the network: what the dialogue, and a service without one, need before this peer is a
// member. Thread rule: see search_service.h.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/command/network_commands.h"

namespace espalier::peer::shell {

struct Joined {
  PeerId id;
  Endpoint endpoint;
  PeerId linkedTo;  // empty: the first of the network
  std::string share;
  std::uint64_t sharedFiles = 0;
  std::uint64_t sharedBytes = 0;
  bool indexing = false;  // the figures will grow
};

// How an attempt to join ended.
struct JoinAttempt {
  enum class End {
    joined,
    wordRefused,  // ask for the word again
    idRefused,    // in use, or not an id: ask for another one
    unavailable,  // no metaserver: try again
    failed        // another failure, which another attempt would not change
  };
  End end = End::failed;
  Joined joined;  // with End::joined
  Error error;    // else
};

class JoinService {
 public:
  virtual ~JoinService() = default;
  // As the user gave them; at least one.
  virtual std::vector<Endpoint> metaservers() const = 0;
  // The network before this peer is in it; `unavailable` without a metaserver and without a
  // snapshot from before.
  virtual Result<command::Topology> topology(std::stop_token stop) = 0;
  // The word that the metaserver announced, or --join-word.
  virtual std::string joinWord() = 0;
  virtual JoinAttempt join(const PeerId& id, const std::string& word, std::stop_token stop) = 0;
};

// `the metaserver refused the word "yes": type P2P to join`
std::string refusedWord(const std::string& word, const std::string& wanted);
// `s2 joined on 127.0.0.1:5002, linked to s1; sharing 4 files (3.1 MB) from ./s2`
std::string joinedLine(const Joined& joined);
// `127.0.0.1:5000, 127.0.0.1:5010`
std::string listOf(const std::vector<Endpoint>& metaservers);
// `no metaserver at 127.0.0.1:5000: start "metaserver"`; `why`: empty, or how far a host name led.
std::string noMetaserverLine(const std::vector<Endpoint>& metaservers, const std::string& why = {});

}  // namespace espalier::peer::shell
