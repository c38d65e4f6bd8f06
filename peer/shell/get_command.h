// `get NAME… [-o PATH] [--force]`, which `2` ends in too: resolves each NAME to files, asks where a
// name stands for several, fetches.
//
// A NAME is looked for as a shared name, exactly; if nobody has it and it has one of *?[, as a
// glob; if it has 64 hexadecimal digits, as a file root. A glob fetches every name that it matches.
// With a slash at its end it is a folder: one search finds who has something below it, each holder
// is asked for its list, and all files are fetched together.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/commands.h"
#include "peer/shell/peer_service.h"

namespace espalier::peer::shell {

class GetCommand {
 public:
  GetCommand(PeerService& service, CommandSettings settings);

  // Exit code: 0 all fetched · 3 some · else that of the first failure; 130 when interrupted.
  command::Outcome run(const std::vector<std::string>& names,
                       const std::optional<std::string>& output, bool force,
                       command::Context& context) const;

 private:
  struct Run;

  Result<void> awaitTotal(command::Context& context) const;
  Result<std::vector<FoundFile>> resolve(const std::string& name, Run& run) const;
  Result<FetchRequest> choose(std::vector<FetchRequest> files, const std::string& name,
                              Run& run) const;
  Result<std::string> nameOf(const std::string& root, const std::vector<FoundFile>& files,
                             Run& run) const;
  void fetchAll(const std::string& name, Run& run) const;
  void fetchFolder(const std::string& folder, Run& run) const;
  Result<std::vector<FoundFile>> filesBelow(const std::string& folder, Run& run) const;
  Result<SearchResult> search(PatternKind kind, const std::string& text, Run& run) const;

  PeerService& service_;
  CommandSettings settings_;
  std::shared_ptr<std::atomic<bool>> complete_;  // TOTAL peers have been there
};

}  // namespace espalier::peer::shell
