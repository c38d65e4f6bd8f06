// The file in which a metaserver keeps its network across a restart: the network's id, the next
// order of joining, and the members to wait for. One text file in the state folder, replaced whole
// by rename:
//
//   espalier-network 1 <network, 32 hex digits> <next order>
//   <order> <host:port> <instance key, 32 hex digits> <id>        a line a peer, by order
//
// The network's id is durable before any peer is admitted. The list of members may be a moment old:
// running members report what it lacks.
//
// Every value that the codecs accept can be written and read back: see isHost() and PeerId. If a
// line is damaged, only its own peer is lost: it joins as a newcomer.
//
// formatState() and parseState() are pure; loadState() reads the disk. Used by the server and its
// files writer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "metaserver/core/registry.h"

namespace espalier::metaserver::shell {

struct State {
  wire::NetworkId network;
  JoinOrder nextOrder{1};
  std::vector<Remembered> members;

  bool operator==(const State&) const = default;
};

struct StateRead {
  State state;
  // The skipped lines, a sentence each, safe to print: "line 3: this is no peer: …". At
  // most limits::kDamagedLinesTold; `damagedLines` counts them all.
  std::vector<std::string> problems;
  std::size_t damagedLines = 0;
};

std::string formatState(const State& state);
// Errors have the code `configuration` and begin with "line 1: ": the file cannot be used without
// its first line.
Result<StateRead> parseState(std::string_view text);

// Reads the file; none if it is not there. A newer version, or a damaged first line, is an error of
// code `configuration` that says what to do; the file stays as it is. A file with damaged lines is
// kept beside the one that is written next (keepDamaged), and its problems are logged.
Result<std::optional<State>> loadState(const std::string& path);

}  // namespace espalier::metaserver::shell
