// `get NAME… [-o PATH] [--force]`, which `2` ends in too: resolves each NAME to files, asks where a
// name stands for several, fetches.
//
// A NAME is looked for as FileSearch::named() says; with a slash at its end it is a folder, and
// stands for everything below it. Every name that matches is fetched, also those that a search has
// no room for. Where somebody did not answer, or a list could not be had, that is an error beside
// what was saved: it names who is missing.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/commands.h"
#include "peer/shell/services.h"

namespace espalier::peer::shell {

class GetCommand {
 public:
  GetCommand(const Services& services, CommandSettings settings);

  // Exit code: 0 all fetched, and everybody was asked · 3 some · else that of the first failure (75
  // where answers are missing); 130 when interrupted.
  command::Outcome run(const std::vector<std::string>& names,
                       const std::optional<std::string>& output, bool force,
                       command::Context& context) const;

 private:
  struct Run;

  Result<void> awaitTotal(command::Context& context) const;
  Result<DownloadRequest> choose(std::vector<DownloadRequest> files, const std::string& name,
                                 Run& run) const;
  Result<std::string> nameOf(const std::string& root, const std::vector<FoundFile>& files,
                             Run& run) const;
  void fetchAll(const std::string& name, Run& run) const;
  void fetch(const std::vector<DownloadRequest>& requests, Run& run) const;

  SearchService& search_;
  ShareService& share_;
  DownloadService& downloads_;
  TopologyService& topology_;
  CommandSettings settings_;
  std::shared_ptr<std::atomic<bool>> complete_;  // TOTAL peers have been there
};

}  // namespace espalier::peer::shell
