// The options of the program `metaserver`, from command line, environment and configuration file.
// Pure but for reading that file; called by main().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/log.h"
#include "common/base/result.h"
#include "common/command/options.h"

namespace espalier::metaserver::shell {

struct MetaserverOptions {
  Endpoint listen{"127.0.0.1", 5000};
  std::uint16_t firstPort = 5001;
  unsigned maxLinks = 2;
  std::string placement = "shallowest";  // shallowest, classic or nearest
  std::string joinWord = "P2P";
  std::string topoFile = "./topo.txt";
  std::string countFile = "./NumberOfServers.txt";
  std::string state = "./.metaserver";
  std::vector<std::string> commands;
  bool json = false;
  log::Level logLevel = log::Level::info;
};

// Fills `options`, which have the defaults. `text` is the output of --help or --version. Errors as
// in common/command/options.h.
Result<command::Parsed> parseMetaserverOptions(const std::vector<std::string>& arguments,
                                               const command::Environment& environment,
                                               MetaserverOptions& options);

}  // namespace espalier::metaserver::shell
