// The options of the program `peer`: command line, environment, configuration file. main() parses
// them once; later only chooseId() changes them. No threads, no I/O but reading the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/result.h"
#include "common/command/options.h"
#include "peer/core/push_policy.h"
#include "peer/shell/transfer_service.h"

namespace espalier::peer::shell {

struct PeerOptions {
  std::uint64_t total = 0;                                 // TOTAL; 0: not given
  std::vector<Endpoint> metaservers{{"127.0.0.1", 5000}};  // of one network
  PeerId id;                                               // empty: the prompt asks for it
  struct Folders {
    std::string share;
    std::string downloads;
    std::string state;
  };
  Folders given;  // empty: not given
  // Derived from them and from the id by chooseId().
  std::string share;
  std::string downloads;
  std::string state;
  std::string joinWord = "P2P";
  bool joinWordGiven = false;
  Endpoint listen{"127.0.0.1", 0};  // port 0: the metaserver assigns it
  std::string advertise;            // empty: the host of `listen`
  bool shareHidden = false;
  PushPolicy acceptPush{PushPolicy::From::none, {}, 10'000'000'000};
  Rates rates;  // of all transfers together
  // The page in the browser: where it listens, if it is wanted, and the name of a proxy before it.
  std::optional<Endpoint> web;
  std::string webHost;
  std::vector<std::string> commands;
  bool headless = false;
  bool bell = false;
  bool json = false;
  bool quiet = false;
  log::Level logLevel = log::Level::info;

  // Sets the id, and the folders that were not given: share ./ID, downloads the share, state
  // SHARE/.espalier. May be called again with another id.
  void chooseId(const PeerId& chosen);
};

// 500K, 10M, none: bytes a second; 0 for none.
Result<std::uint64_t> parseRate(std::string_view text);

// The table of options, which store in `options`.
command::Program peerProgram(PeerOptions& options);

// Sets `options`, which have the defaults before. `text` is that of --help or --version. If an id
// is given, chooseId() was called with it. `terminal`: the user can be asked for the id. Without a
// terminal the id must be given, except for commands with a share or a state, which the peer that
// runs there may run.
Result<command::Parsed> parsePeerOptions(const std::vector<std::string>& arguments,
                                         const command::Environment& environment, bool terminal,
                                         PeerOptions& options);

}  // namespace espalier::peer::shell
