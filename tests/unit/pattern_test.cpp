#include "peer/core/pattern.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <optional>
#include <string>

#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

bool matches(std::string_view text, std::string_view name) {
  const auto pattern = Pattern::fromUser(text);
  REQUIRE(pattern.ok());
  return pattern->matches(name, FileRoot{});
}

bool globMatches(std::string_view glob, std::string_view name) {
  const auto pattern = Pattern::compile(PatternKind::glob, glob);
  REQUIRE(pattern.ok());
  return pattern->matches(name, FileRoot{});
}

std::uint64_t stepsOf(PatternKind kind, std::string_view text, std::string_view name) {
  const auto pattern = Pattern::compile(kind, text);
  REQUIRE(pattern.ok());
  std::uint64_t steps = 0;
  pattern->matchesCounting(name, FileRoot{}, steps);
  return steps;
}

// What one bracket expression at the front of `glob` says of `c`: length in the glob, and whether
// it accepts. Nothing when it never closes. Written apart from the real one, and for ASCII alone.
std::optional<std::pair<std::size_t, bool>> naiveSet(std::string_view glob, char c) {
  std::size_t i = 1;
  const bool negated = i < glob.size() && (glob[i] == '!' || glob[i] == '^');
  if (negated) ++i;
  bool found = false;
  for (bool first = true; i < glob.size(); first = false) {
    if (glob[i] == ']' && !first) return std::pair{i + 1, found != negated};
    if (glob[i] == '\\' && i + 1 < glob.size()) ++i;
    const char low = glob[i++];
    char high = low;
    if (i + 1 < glob.size() && glob[i] == '-' && glob[i + 1] != ']') {
      ++i;
      if (glob[i] == '\\' && i + 1 < glob.size()) ++i;
      high = glob[i++];
    }
    found = found || (low <= c && c <= high);
  }
  return std::nullopt;
}

// Obvious, recursive and exponential.
bool naiveGlob(std::string_view glob, std::string_view name) {
  if (glob.empty()) return name.empty();
  if (glob[0] == '*') {
    return naiveGlob(glob.substr(1), name) || (!name.empty() && naiveGlob(glob, name.substr(1)));
  }
  if (name.empty()) return false;
  if (glob[0] == '?') return naiveGlob(glob.substr(1), name.substr(1));
  if (glob[0] == '[') {
    if (const auto set = naiveSet(glob, name[0])) {
      return set->second && naiveGlob(glob.substr(set->first), name.substr(1));
    }
  }
  if (glob[0] == '\\' && glob.size() > 1) glob.remove_prefix(1);
  return glob[0] == name[0] && naiveGlob(glob.substr(1), name.substr(1));
}

std::string repeated(std::string_view part, std::size_t times) {
  std::string result;
  while (times-- > 0) result += part;
  return result;
}

}  // namespace

TEST_CASE("a user's text is a root, a glob, words or a part of a name") {
  CHECK(Pattern::kindOf(std::string(64, 'a')) == PatternKind::root);
  CHECK(Pattern::kindOf(std::string(63, 'a')) == PatternKind::substring);
  CHECK(Pattern::kindOf(std::string(64, 'g')) == PatternKind::substring);
  CHECK(Pattern::kindOf("*") == PatternKind::glob);
  CHECK(Pattern::kindOf("a?c d") == PatternKind::glob);
  CHECK(Pattern::kindOf("[ab]") == PatternKind::glob);
  CHECK(Pattern::kindOf("two words") == PatternKind::words);
  CHECK(Pattern::kindOf(" one ") == PatternKind::substring);
  CHECK(Pattern::kindOf("f3.txt") == PatternKind::substring);
}

TEST_CASE("a word is found anywhere in a name, in any case") {
  CHECK(matches("f3", "docs/F3.txt"));
  CHECK(matches("F3.TXT", "f3.txt"));
  CHECK_FALSE(matches("f3", "f4.txt"));
  CHECK(matches("GRÖSSE ÄÉ", "größe... grösse/äé.txt"));
  CHECK(matches("ΑΘΉΝΑΣ", "αθήνας.txt"));
  CHECK(matches("москва", "МОСКВА.ЁЖ"));
  CHECK(matches("ёж", "МОСКВА.ЁЖ"));
  CHECK_FALSE(matches("a", "ä"));
  CHECK_FALSE(matches("×", "÷"));
}

TEST_CASE("a word is found in any alphabet's case, however either is composed") {
  CHECK(matches("ŁÓDŹ", "mapy/łódź.pdf"));
  CHECK(matches("ŁÓDŹ", "mapy/ło\u0301dz\u0301.pdf"));
  CHECK(matches("ło\u0301dz\u0301", "MAPY/ŁÓDŹ.PDF"));
  CHECK(matches("strasse", "Große Straße.txt"));
  CHECK(matches("ЅЉИВА чај", "чај/шљива ѕљива"));
  CHECK(matches("\u212a", "k.txt"));  // the sign of kelvin
  CHECK_FALSE(matches("a", "a\u0308"));
  CHECK_FALSE(matches("lodz", "łódź"));
}

TEST_CASE("a glob and an exact path do not mind how a name is composed, but the case") {
  CHECK(globMatches("f?.txt", "fu\u0308.txt"));
  CHECK(globMatches("*/łód[ź].*", "m/ło\u0301dz\u0301.pdf"));
  CHECK_FALSE(globMatches("*ŁÓDŹ*", "łódź"));
  const auto path = [](std::string_view text, std::string_view name) {
    return Pattern::compile(PatternKind::path, text)->matches(name, FileRoot{});
  };
  CHECK(path("m/łódź", "m/ło\u0301dz\u0301"));
  CHECK(path("m/ło\u0301dz\u0301", "m/łódź"));
  CHECK_FALSE(path("m/łódź", "m/ŁÓDŹ"));
  CHECK_FALSE(path("m/łódź", "m/łódź2"));
  CHECK_FALSE(path("m/łódź", "m/łód"));
  CHECK_FALSE(path("e", "e\u0301"));
}

TEST_CASE("several words may stand anywhere and in any order") {
  CHECK(matches("blue moon", "moon/deep BLUE.ogg"));
  CHECK_FALSE(matches("blue moon", "blue.ogg"));
  CHECK(matches("  a\tb ", "b a"));
  CHECK_FALSE(Pattern::compile(PatternKind::words, " \t ").ok());
}

TEST_CASE("a glob covers the whole path and minds the case") {
  CHECK(matches("*", "a/b/c.txt"));
  CHECK(matches("*.txt", "docs/a.txt"));
  CHECK_FALSE(matches("*.txt", "a.txt.bak"));
  CHECK_FALSE(matches("*.TXT", "a.txt"));
  CHECK(matches("f?.txt", "f3.txt"));
  CHECK(matches("f?.txt", "fü.txt"));
  CHECK_FALSE(matches("f?.txt", "f.txt"));
  CHECK(matches("f[0-9].txt", "f3.txt"));
  CHECK_FALSE(matches("f[!0-9].txt", "f3.txt"));
  CHECK(matches("f[^a-c]*", "fx"));
  CHECK(matches("[]x]*", "]"));
  CHECK(matches("[a\\]]*", "]"));
  CHECK(matches("[ä-ö]*", "å"));
  CHECK(matches("a-[*", "a-[b"));
  CHECK(globMatches("\\*", "*"));
  CHECK_FALSE(globMatches("\\*", "a"));
  CHECK(globMatches("a\\", "a\\"));
  CHECK_FALSE(globMatches("a", "ab"));
}

TEST_CASE("names that are not UTF-8 are matched byte by byte") {
  CHECK(globMatches("a?b",
                    "a\xff"
                    "b"));
  CHECK(globMatches("a\xff*", "a\xff\xfe"));
  CHECK_FALSE(globMatches("a\xff*", "aÿ"));
  CHECK(matches("\xff", "x\xff"));
  CHECK(globMatches("??", "\xe4\xb8"));  // cut off in the middle of a character
}

TEST_CASE("an exact path and a root are compared as they are") {
  const auto path = Pattern::compile(PatternKind::path, "a*[b");
  CHECK(path->matches("a*[b", FileRoot{}));
  CHECK_FALSE(path->matches("axb", FileRoot{}));
  FileRoot root;
  root.bytes.fill(0xab);
  const auto byRoot = Pattern::fromUser(repeated("Ab", 32));
  CHECK(byRoot->matches("whatever", root));
  CHECK_FALSE(byRoot->matches("whatever", FileRoot{}));
  CHECK_FALSE(Pattern::compile(PatternKind::root, "ab").ok());
}

TEST_CASE("a pattern is neither empty nor longer than the limit") {
  CHECK_FALSE(Pattern::fromUser("").ok());
  CHECK(Pattern::fromUser(std::string(limits::kPatternBytes, '*')).ok());
  CHECK_FALSE(Pattern::fromUser(std::string(limits::kPatternBytes + 1, '*')).ok());
  CHECK_FALSE(Pattern::compile(static_cast<PatternKind>(99), "a").ok());
}

TEST_CASE("globs match the same names as a naive matcher") {
  CHECK(rc::check([] {
    const auto text = [](std::string letters) {
      return rc::gen::container<std::string>(rc::gen::elementOf(std::move(letters)));
    };
    // The model is exponential.
    const auto glob = (*rc::gen::nonEmpty(text("ab*?[]!-\\^/"))).substr(0, 14);
    const auto name = (*text("ab]-[!\\/")).substr(0, 10);
    const auto pattern = Pattern::compile(PatternKind::glob, glob);
    RC_ASSERT(pattern.ok());
    RC_ASSERT(pattern->matches(name, FileRoot{}) == naiveGlob(glob, name));
  }));
}

TEST_CASE("globs of few letters, which nearly match, match the same names as a naive matcher") {
  // Every glob of up to six and every name of up to six characters of a tiny alphabet.
  const std::string_view letters = "ab*?";
  std::uint64_t agreed = 0;
  for (std::size_t length = 1; length <= 5; ++length) {
    std::size_t globs = 1;
    for (std::size_t i = 0; i < length; ++i) globs *= letters.size();
    for (std::size_t g = 0; g < globs; ++g) {
      std::string glob;
      for (std::size_t i = 0, rest = g; i < length; ++i, rest /= 4) glob += letters[rest % 4];
      const auto pattern = Pattern::compile(PatternKind::glob, glob);
      for (std::size_t n = 0; n < 127; ++n) {  // the bits below the highest one of n + 1
        std::string name;
        for (std::size_t bits = n + 1; bits > 1; bits /= 2) name += bits % 2 == 1 ? 'a' : 'b';
        if (pattern->matches(name, FileRoot{}) == naiveGlob(glob, name)) {
          ++agreed;
        } else {
          FAIL_CHECK(glob << " on " << name);
        }
      }
    }
  }
  CHECK(agreed == (4 + 16 + 64 + 256 + 1024) * 127);
}

TEST_CASE("words are found where an obvious search finds them") {
  CHECK(rc::check([] {
    const auto letters = rc::gen::elementOf(std::string("ab"));
    const auto word = *rc::gen::nonEmpty(rc::gen::container<std::string>(letters));
    const auto name = *rc::gen::container<std::string>(letters);
    const auto pattern = Pattern::compile(PatternKind::substring, word);
    RC_ASSERT(pattern->matches(name, FileRoot{}) == (name.find(word) != std::string::npos));
  }));
}

TEST_CASE("patterns that were made to be slow cost no more than pattern times name") {
  const std::string name(limits::kPathBytes, 'a');
  const auto bound = 2 * limits::kPatternBytes * limits::kPathBytes;
  CHECK(stepsOf(PatternKind::glob, repeated("*a", 511) + "b", name) < bound);
  CHECK(stepsOf(PatternKind::glob, repeated("a*", 511) + "b", name) < bound);
  CHECK(stepsOf(PatternKind::glob, "*" + std::string(1000, 'a') + "b", name) < bound);
  CHECK(stepsOf(PatternKind::glob, repeated("*?", 511) + "b", name) < bound);
  // The system bounds the names of files, but not the names that a peer sends.
  CHECK(stepsOf(PatternKind::glob, "*b", std::string(1'000'000, 'a')) == 0);
}

TEST_CASE("brackets by the thousand cost a logarithm of their number") {
  const std::string name(limits::kPathBytes, 'a');
  CHECK(stepsOf(PatternKind::glob, std::string(limits::kPatternBytes, '['), name) <= 1);
  CHECK(stepsOf(PatternKind::glob, "*" + repeated("[b]", 300), name) < 20 * name.size());
  std::string set = "*[";
  for (int i = 0; i < 400; ++i) set += static_cast<char>('b' + i % 20);
  CHECK(stepsOf(PatternKind::glob, set + "]", name) < 20 * name.size());
  CHECK(stepsOf(PatternKind::glob, repeated("*[a]", 255) + "b", name) <
        4 * limits::kPatternBytes * limits::kPathBytes);
}

TEST_CASE("words that nearly match everywhere cost linear time") {
  const std::string name(limits::kPathBytes, 'a');
  CHECK(stepsOf(PatternKind::substring, std::string(1023, 'a') + "b", name) <= 2 * name.size());
}
