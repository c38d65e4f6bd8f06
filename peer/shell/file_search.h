// What a name or a pattern stands for in the network, and whether that is all: what `get` and
// `find` have in common.
//
// A search says which peers did not answer, and tells limits::kHitsPerPeer names of a holder at
// most. Whoever needs all that match calls completed(): each holder that has more is asked for its
// list. What is missing even then is named; it never just falls away.
#pragma once

#include <string>
#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/search_service.h"
#include "peer/shell/share_service.h"

namespace espalier::peer::shell {

// A glob that matches this very text.
std::string literalGlob(const std::string& text);

struct Matches {
  PatternKind kind = PatternKind::path;
  std::string text;
  SearchResult result;
  PeerId self;  // whose own share may still be indexed: what others have is asked for
  std::vector<std::string> unlisted;  // who has more, and why it is not known; escaped

  // An exact name that was found: how many more have it does not matter, and anybody may claim it.
  bool isFoundPath() const { return kind == PatternKind::path && !result.files.empty(); }
  // Whether every peer has answered, and nothing that it has is missing. A root stands for one
  // content: who has it does not matter once somebody does.
  bool isAll() const;
  // "searched 2 of 3 peers; no answer from s3; 100 more at s1: no byte came for too long"
  std::string coverage() const;
  // What is missing: peers as in the JSON of `find`, lists that could not be had, peers that are
  // still indexing.
  std::vector<std::string> missing() const;
  // Others that have not read all of their share, where that matters.
  std::vector<PeerId> indexing() const;
  // "f9.txt: not found (…)": `timeout` unless everybody has answered.
  Error notFound(const std::string& name) const;
};

class FileSearch {
 public:
  // All outlive it.
  FileSearch(SearchService& searches, ShareService& share, command::Context& context)
      : searches_(searches), share_(share), context_(context), self_(searches.self()) {}

  // What a NAME is, in this order: a path, exactly (in the spelling that was typed, if there is
  // one); a glob, if it has one of *?[; a root, if it has 64 hexadecimal digits.
  Result<Matches> named(const std::string& name) const;
  // What a PATTERN is: the same for a glob or 64 hexadecimal digits; else a part of a name.
  Result<Matches> pattern(const std::string& text, const SearchService::OnHits& onHits) const;
  // All below a folder, a name with a slash at its end.
  Result<Matches> below(const std::string& folder) const;

  // With what a search had no room for, from the lists of those who have it.
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
