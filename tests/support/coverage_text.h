// How complete a search was, in a line that tests compare.
#pragma once

#include <string>

#include "common/base/text.h"
#include "peer/core/search_result.h"

namespace espalier::peer {

// "searched 60 of 64 peers; missing: s7 and 3 below it; still indexing: s9"
inline std::string coverageText(const SearchResult& result) {
  std::string text =
      "searched " + std::to_string(result.searched) + " of " + counted(result.members, "peer");
  if (result.beyond > 0) text += " and " + std::to_string(result.beyond) + " beyond";
  std::string names;
  for (const auto& peer : result.missing) {
    if (!names.empty()) names += ", ";
    const auto id = escaped(peer.id.text());
    const auto below = std::to_string(peer.below);
    if (peer.answered) {
      names += below + " below " + id;
    } else {
      names += peer.below == 0 ? id : id + " and " + below + " below it";
    }
  }
  if (result.missingUnnamed > 0 && !names.empty()) {
    names += " and " + counted(result.missingUnnamed, "other");
  }
  if (!names.empty()) text += "; missing: " + names;
  for (std::size_t i = 0; i < result.indexing.size(); ++i) {
    text += i == 0 ? "; still indexing: " : ", ";
    text += escaped(result.indexing[i].text());
  }
  return text;
}

}  // namespace espalier::peer
