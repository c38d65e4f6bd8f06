// The pattern of a search. It is compiled once, and then matched against each name of a share.
//
//   auto pattern = Pattern::fromUser("*.txt");
//   pattern->matches("docs/a.txt", root);
//
//   the user's text              kind        matches                                    case
//   64 hex digits                root        files with this root                       -
//   contains any of * ? [        glob        the whole relative path                    matters
//   several words                words       names that contain each word               ignored
//   anything else                substring   names that contain the text                ignored
//   (only by compile())          path        exactly this relative path                 matters
//
// Glob: `*` matches any number of bytes, also `/`. `?` matches one character. `[a-z]`, `[!x]` and
// `[^x]` match one character of a set. A backslash quotes the next character. A `[` without `]`
// matches itself. Unicode composition never matters (unicode.h): text in NFC finds a name in NFD,
// also as an exact path.
//
// Bounds: limits::kPatternBytes of text, limits::kPathBytes of a name. A glob costs at most one
// step for each pair of pattern element and character: matching is iterative, and goes back to the
// last `*` only. Words and substrings cost linear time (Knuth, Morris, Pratt). An ASCII name is
// compared as it is. Any other name is folded or composed first, which costs some 3 us.
//
// Immutable, so any thread may match. Searches use it to judge hits, the share to find them.
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
  // Fails with the code `usage` if the text is empty, too long, no valid root, or has no words.
  static Result<Pattern> compile(PatternKind kind, std::string_view text);
  static Result<Pattern> fromUser(std::string_view text);
  // The kind that fromUser() chooses for a text.
  static PatternKind kindOf(std::string_view text);

  bool matches(std::string_view name, const FileRoot& root) const;

  PatternKind kind() const { return kind_; }
  const std::string& text() const { return text_; }

  // The same as matches(). Adds the number of comparisons to `steps`.
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
  // `Name`: the bytes of an ASCII name, or the characters of any other name.
  template <typename Name>
  bool matchesGlob(const Name& name, std::uint64_t& steps) const;
  template <typename Name>
  bool matchesWords(const Name& name, std::uint64_t& steps) const;

  PatternKind kind_;
  std::string text_;
  FileRoot root_;
  std::u32string composed_;  // of a path that is not ASCII
  std::vector<Element> elements_;
  std::vector<Word> words_;
};

}  // namespace espalier::peer
