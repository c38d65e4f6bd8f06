// What a search is for, compiled once and tried against each name of a share.
//
//   auto pattern = Pattern::fromUser("*.txt");       // 64 hex digits: root · any of *?[: glob ·
//   pattern->matches("docs/a.txt", root);            // several words: words · else: substring
//
// Glob: `*` any bytes, also `/` (so that `*` alone finds everything); `?` one character; `[a-z]`,
// `[!x]` or `[^x]` one character of a set; a backslash takes the next character as it is; a `[`
// that is never closed stands for itself. It must match the whole relative path and minds the case.
// Substring and words do not mind the case: ASCII, Latin-1 (ä Ä), Greek and Cyrillic letters in
// UTF-8 are folded, nothing else is. An exact path and a root are compared as they are.
//
// Cost: text is at most limits::kPatternBytes (1,024) and names limits::kPathBytes. A glob takes at
// most one step a pair of pattern element and character, O(n·m): matching is iterative and goes
// back to the last `*` only, never further (nothing exponential, however the pattern was made).
// Substrings are found in linear time (Knuth, Morris, Pratt). Immutable, so any thread may match.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/wire/search.h"

namespace espalier::peer {

class Pattern {
 public:
  // Errors have the code `usage`: an empty or too long text, a root that is none, no words.
  static Result<Pattern> compile(PatternKind kind, std::string_view text);
  static Result<Pattern> fromUser(std::string_view text);
  // The kind that fromUser() takes a text for.
  static PatternKind kindOf(std::string_view text);

  bool matches(std::string_view name, const FileRoot& root) const;

  PatternKind kind() const { return kind_; }
  const std::string& text() const { return text_; }

  // matches(), and how many comparisons it took: for the test of the bound above.
  bool matchesCounting(std::string_view name, const FileRoot& root, std::uint64_t& steps) const;

 private:
  // One element of a glob.
  struct Element {
    enum class Kind : std::uint8_t { character, any, star, set } kind = Kind::character;
    char32_t character = 0;
    bool negated = false;
    std::vector<std::pair<char32_t, char32_t>> ranges;
    bool accepts(char32_t c, std::uint64_t& steps) const;
  };
  // A folded word with its failure function.
  struct Word {
    std::vector<char32_t> characters;
    std::vector<std::uint32_t> borders;
  };

  Pattern(PatternKind kind, std::string_view text) : kind_(kind), text_(text) {}
  static Word wordOf(std::string_view text);
  void compileGlob();
  std::size_t compileSet(const std::vector<char32_t>& text, std::size_t open);
  bool matchesGlob(std::string_view name, std::uint64_t& steps) const;
  bool matchesWords(std::string_view name, std::uint64_t& steps) const;

  PatternKind kind_;
  std::string text_;
  FileRoot root_;
  std::vector<Element> elements_;
  std::vector<Word> words_;
};

}  // namespace espalier::peer
