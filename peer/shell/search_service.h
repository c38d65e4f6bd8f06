// Searches of the network, as commands see them.
//
// Thread rule of every service in this folder (*_service.h): a function blocks its caller until it
// has the answer, may be called from any number of command threads at once, never from the event
// loop, and fails with `interrupted` soon after its stop token is triggered. Callbacks run on the
// calling thread or another one, never two at a time, and never after the function has returned.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/histogram.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "peer/core/search_result.h"

namespace espalier::peer::shell {

struct SearchRequest {
  std::optional<PatternKind> kind;  // none: derived from the text, Pattern::kindOf()
  std::string text;
};

// Since the start.
struct SearchFigures {
  Histogram took;              // of those that have ended with a result
  std::uint64_t complete = 0;  // of these, how many every member has answered
  std::uint64_t missing = 0;   // answers that were missing, of all of them together
};

class SearchService {
 public:
  virtual ~SearchService() = default;

  // The id of this peer, whose own share is searched, too.
  virtual PeerId self() = 0;

  // `onHits` gets the number of hits so far and of peers that have answered; it may be empty.
  using OnHits = std::function<void(std::uint64_t hits, std::uint64_t searched)>;
  virtual Result<SearchResult> find(const SearchRequest& request, std::stop_token stop,
                                    const OnHits& onHits) = 0;

  // Names of shared files and of earlier hits, for completion. Does not wait for the network.
  virtual std::vector<std::string> knownNames(const std::string& prefix) = 0;
};

}  // namespace espalier::peer::shell
