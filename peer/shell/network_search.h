// The search service of a peer: asks the network through the core and waits for the answers.
//
//   find() --Searches::ask--> core --SearchUpdate--> searched() --SearchChanged--> find()
//
// Thread rule: searched() on the loop's thread, the rest as search_service.h says.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/guarded.h"
#include "peer/share/share_index.h"
#include "peer/shell/events.h"
#include "peer/shell/network.h"
#include "peer/shell/own_id.h"
#include "peer/shell/search_service.h"

namespace espalier::peer::shell {

class NetworkSearch final : public SearchService {
 public:
  // All outlive it.
  NetworkSearch(const OwnId& self, Network& network, EventBus& events, share::ShareIndex& index)
      : self_(self), network_(network), events_(events), index_(index) {}

  PeerId self() override { return self_.get(); }
  Result<SearchResult> find(const SearchRequest& request, std::stop_token stop,
                            const OnHits& onHits) override;
  std::vector<std::string> knownNames(const std::string& prefix) override;

  SearchFigures figures() {
    return figures_.with([](const SearchFigures& figures) { return figures; });
  }

  // Of PeerHandler.
  void searched(SearchUpdate& update);

 private:
  struct PendingSearch {
    std::uint64_t hits = 0;
    std::uint64_t searched = 0;
    std::optional<SearchResult> result;
  };
  // Of hits. When it is full, the oldest names make room for new ones.
  struct HeardNames {
    std::set<std::string> names;
    std::deque<std::set<std::string>::const_iterator> order;  // oldest first
    std::size_t bytes = 0;
  };

  void rememberNames(const SearchUpdate& update);
  std::optional<SearchResult> follow(const QueryId& id, EventBus::Subscription& events,
                                     const std::stop_token& stop, const OnHits& onHits);

  const OwnId& self_;
  Network& network_;
  EventBus& events_;
  share::ShareIndex& index_;
  Guarded<std::map<QueryId, PendingSearch>> pending_;
  Guarded<HeardNames> heardNames_;
  Guarded<SearchFigures> figures_;
};

}  // namespace espalier::peer::shell
