// `get NAME… [-o PATH] [--force]`, also called by `2`: resolves each NAME to files, asks the user
// if a name stands for several, and fetches.
//
// FileSearch::named() searches for a NAME; a NAME with a slash at its end is a folder, and stands
// for everything below it. All matches are fetched, also those for which a search has no room. If a
// peer did not answer, or its list could not be read, the outcome has the files and an error that
// names that peer.
//
// Thread rule: any number of command threads may call run() at once.
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

  // Exit code: 0 if all was fetched and every peer has answered; 3 if some was fetched; 130 if
  // interrupted; else that of the first error (75 if answers are missing).
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
  std::shared_ptr<std::atomic<bool>> complete_;  // TOTAL peers have joined
};

}  // namespace espalier::peer::shell
