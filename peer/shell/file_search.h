// Searches the network for the files of a name or a pattern, and says whether the answer is
// complete. `get` and `find` use it.
//
// A search has at most limits::kHitsPerPeer hits of a holder. completed() asks each holder with
// more hits for its list. What is missing even then is named in Matches.
//
// Blocks its caller; belongs to the thread of one command.
#pragma once

#include <string>
#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/search_service.h"
#include "peer/shell/share_service.h"

namespace espalier::peer::shell {

// A glob that matches exactly this text.
std::string literalGlob(const std::string& text);

struct Matches {
  PatternKind kind = PatternKind::path;
  std::string text;
  SearchResult result;
  PeerId self;  // its own index may be incomplete: the user asks for files of other peers
  std::vector<std::string> unlisted;  // holders whose further hits are not known, and why; escaped

  // An exact name was found. Then further hits do not matter, nor peers that claim to have them.
  bool isFoundPath() const { return kind == PatternKind::path && !result.files.empty(); }
  // Whether every peer has answered with all that it has. For a root one hit is enough, since a
  // root stands for one content.
  bool isAll() const;
  // "searched 2 of 3 peers; no answer from s3; 100 more at s1: no byte came for too long"
  std::string coverage() const;
  // What is missing: peers as in the JSON of `find`, lists that could not be had, peers that are
  // still indexing.
  std::vector<std::string> missing() const;
  // Other peers that are still indexing, if that matters.
  std::vector<PeerId> indexing() const;
  // "f9.txt: not found (…)"; with the code `timeout` unless the answer is complete.
  Error notFound(const std::string& name) const;
};

class FileSearch {
 public:
  // All arguments outlive it.
  FileSearch(SearchService& searches, ShareService& share, command::Context& context)
      : searches_(searches), share_(share), context_(context), self_(searches.self()) {}

  // Searches for a NAME in this order: as a path, exactly (first in the spelling that was typed);
  // as a glob, if it has one of *?[; as a root, if it has 64 hexadecimal digits.
  Result<Matches> named(const std::string& name) const;
  // Searches for a PATTERN: as named() if it is a glob or a root; else as a part of a name.
  Result<Matches> pattern(const std::string& text, const SearchService::OnHits& onHits) const;
  // All files below a folder, a name with a slash at its end.
  Result<Matches> below(const std::string& folder) const;

  // Adds the hits for which the search had no room, from the lists of their holders.
  Result<Matches> completed(Matches matches) const;

  const PeerId& self() const { return self_; }

 private:
  Result<Matches> search(PatternKind kind, const std::string& text,
                         const SearchService::OnHits& onHits) const;
  Result<Matches> first(const std::vector<PatternKind>& kinds, const std::string& text,
                        const SearchService::OnHits& onHits) const;

  SearchService& searches_;
  ShareService& share_;
  command::Context& context_;
  PeerId self_;
};

}  // namespace espalier::peer::shell
