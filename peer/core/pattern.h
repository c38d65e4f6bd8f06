// What a search is for, compiled once and tried against each name of a share.
//
//   auto pattern = Pattern::fromUser("*.txt");       // 64 hex digits: root · any of *?[: glob ·
//   pattern->matches("docs/a.txt", root);            // several words: words · else: substring
//
// Glob: `*` any bytes, also `/` (so that `*` alone finds everything); `?` one character; `[a-z]`,
// `[!x]` or `[^x]` one character of a set; a backslash takes the next character as it is; a `[`
// that is never closed stands for itself. It must match the whole relative path and minds the case.
// Substring and words do not mind the case. How a text is composed never matters (unicode.h): a
// name in the form NFD is found by what was typed as NFC, also as an exact path.
//
// Cost: text is at most limits::kPatternBytes (1,024) and names limits::kPathBytes. A glob takes at
// most one step a pair of pattern element and character, O(n·m): matching is iterative and goes
// back to the last `*` only, never further (nothing exponential, however the pattern was made).
// Substrings are found in linear time (Knuth, Morris, Pratt). A name that is ASCII is compared as
// it is; any other is folded or composed first, some 3 us. Immutable, so any thread may match.
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
    std::u32string characters;
    std::vector<std::uint32_t> borders;
  };

  Pattern(PatternKind kind, std::string_view text) : kind_(kind), text_(text) {}
  static Word wordOf(std::string_view text);
  void compileGlob();
  std::size_t compileSet(const std::u32string& text, std::size_t open);
  bool matchesPath(std::string_view name) const;
  // `Name`: the bytes of an ASCII name, or the characters of any other.
  template <typename Name>
  bool matchesGlob(const Name& name, std::uint64_t& steps) const;
  template <typename Name>
  bool matchesWords(const Name& name, std::uint64_t& steps) const;

  PatternKind kind_;
  std::string text_;
  FileRoot root_;
  std::u32string composed_;  // of a path, unless it is ASCII
  std::vector<Element> elements_;
  std::vector<Word> words_;
};

}  // namespace espalier::peer
