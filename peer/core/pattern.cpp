#include "peer/core/pattern.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/unicode.h"

namespace espalier::peer {
namespace {

// The character at position i, for both forms of a name.
char32_t at(std::string_view name, std::size_t i) {
  return static_cast<unsigned char>(name[i]);
}
char32_t at(const std::u32string& name, std::size_t i) {
  return name[i];
}

bool isSpace(char c) {
  return c == ' ' || c == '\t';
}

std::vector<std::string_view> splitWords(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    while (!text.empty() && isSpace(text.front())) text.remove_prefix(1);
    if (text.empty()) return words;
    std::size_t length = 0;
    while (length < text.size() && !isSpace(text[length])) ++length;
    words.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
}

}  // namespace

PatternKind Pattern::kindOf(std::string_view text) {
  if (text.size() == 2 * FileRoot::kSizeBytes && parseFileRoot(text)) return PatternKind::root;
  if (text.find_first_of("*?[") != std::string_view::npos) return PatternKind::glob;
  return splitWords(text).size() > 1 ? PatternKind::words : PatternKind::substring;
}

Result<Pattern> Pattern::fromUser(std::string_view text) {
  return compile(kindOf(text), text);
}

Result<Pattern> Pattern::compile(PatternKind kind, std::string_view text) {
  const auto wrong = [](std::string message) {
    return Error{ErrorCode::usage, std::move(message)};
  };
  if (text.empty()) return wrong("nothing to search for: give a name or a pattern such as *.txt");
  if (text.size() > limits::kPatternBytes) {
    return wrong("a pattern of " + std::to_string(text.size()) + " bytes: at most " +
                 std::to_string(limits::kPatternBytes) + " are searched for");
  }
  Pattern pattern(kind, text);
  switch (kind) {
    case PatternKind::substring:
      pattern.words_.push_back(wordOf(text));
      break;
    case PatternKind::words:
      for (const auto word : splitWords(text)) pattern.words_.push_back(wordOf(word));
      if (pattern.words_.empty()) return wrong("nothing to search for but spaces");
      break;
    case PatternKind::glob:
      pattern.compileGlob();
      break;
    case PatternKind::root: {
      const auto root = parseFileRoot(text);
      if (!root) return wrong(root.error().message);
      pattern.root_ = *root;
      break;
    }
    case PatternKind::path:
      if (!isAscii(text)) pattern.composed_ = composed(text);
      break;
    default:
      return wrong("a pattern of an unknown kind");
  }
  return pattern;
}

bool Pattern::matches(std::string_view name, const FileRoot& root) const {
  std::uint64_t steps = 0;
  return matchesCounting(name, root, steps);
}

bool Pattern::matchesCounting(std::string_view name, const FileRoot& root,
                              std::uint64_t& steps) const {
  if (kind_ == PatternKind::root) return root == root_;
  if (kind_ == PatternKind::path) return name == text_ || matchesPath(name);
  if (name.size() > limits::kPathBytes) return false;
  if (kind_ == PatternKind::glob) {
    return isAscii(name) ? matchesGlob(name, steps) : matchesGlob(composed(name), steps);
  }
  if (!isAscii(name)) return matchesWords(caseFolded(name), steps);
  std::string folded(name);
  for (char& c : folded) c = foldedAscii(c);
  return matchesWords(std::string_view(folded), steps);
}

// Whether the name equals the text after composition.
bool Pattern::matchesPath(std::string_view name) const {
  if (composed_.empty() || name.size() > limits::kPathBytes) return false;
  const auto [mine, others] = std::mismatch(text_.begin(), text_.end(), name.begin(), name.end());
  // Fast path: most names differ in an ASCII character, which composition does not change.
  const auto isPlain = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (mine != text_.end() && others != name.end() && isPlain(*mine) && isPlain(*others)) {
    return false;
  }
  return !isAscii(name) && composed(name) == composed_;
}

// --- words

Pattern::Word Pattern::wordOf(std::string_view text) {
  Word word;
  word.characters = caseFolded(text);
  // borders[i]: the length of the longest proper prefix of the first i + 1 characters that is also
  // their suffix.
  word.borders.assign(word.characters.size(), 0);
  std::uint32_t length = 0;
  for (std::size_t i = 1; i < word.characters.size(); ++i) {
    while (length > 0 && word.characters[i] != word.characters[length]) {
      length = word.borders[length - 1];
    }
    if (word.characters[i] == word.characters[length]) ++length;
    word.borders[i] = length;
  }
  return word;
}

template <typename Name>
bool Pattern::matchesWords(const Name& name, std::uint64_t& steps) const {
  return std::all_of(words_.begin(), words_.end(), [&](const Word& word) {
    std::size_t matched = 0;
    for (std::size_t i = 0; i < name.size(); ++i) {
      const char32_t c = at(name, i);
      while (++steps, matched > 0 && c != word.characters[matched]) {
        matched = word.borders[matched - 1];
      }
      if (c == word.characters[matched] && ++matched == word.characters.size()) return true;
    }
    return false;
  });
}

// --- globs

bool Pattern::Element::accepts(char32_t c, std::uint64_t& steps) const {
  ++steps;
  switch (kind) {
    case Kind::character:
      return c == character;
    case Kind::any:
      return true;
    case Kind::set: {
      // Ranges ascend and are disjoint, so a set of a thousand ranges costs ten steps.
      const auto found = std::lower_bound(ranges.begin(), ranges.end(), c,
                                          [&](const auto& range, char32_t wanted) {
                                            ++steps;
                                            return range.second < wanted;
                                          });
      return (found != ranges.end() && found->first <= c) != negated;
    }
    case Kind::star:
      break;
  }
  return false;
}

void Pattern::compileGlob() {
  const auto text = composed(text_);
  // If one `[` has no `]`, no later one has. The search for it happens once, so this is linear.
  bool closes = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    Element element;
    if (text[i] == '*') {
      if (!elements_.empty() && elements_.back().kind == Element::Kind::star) continue;
      element.kind = Element::Kind::star;
    } else if (text[i] == '?') {
      element.kind = Element::Kind::any;
    } else if (text[i] == '[' && closes) {
      const auto close = compileSet(text, i);
      closes = close != 0;
      if (closes) {
        i = close;
        continue;
      }
      element.character = '[';
    } else {
      if (text[i] == '\\' && i + 1 < text.size()) ++i;
      element.character = text[i];
    }
    elements_.push_back(std::move(element));
  }
}

// Appends the set that begins at `open`. Returns the position of its `]`; 0 if there is none.
std::size_t Pattern::compileSet(const std::u32string& text, std::size_t open) {
  Element element;
  element.kind = Element::Kind::set;
  std::size_t i = open + 1;
  if (i < text.size() && (text[i] == '!' || text[i] == '^')) {
    element.negated = true;
    ++i;
  }
  const auto begin = i;
  const auto take = [&] {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    return text[i++];
  };
  // A `]` at the beginning is a member of the set.
  for (; i < text.size() && (text[i] != ']' || i == begin);) {
    const auto first = take();
    auto last = first;
    if (i + 1 < text.size() && text[i] == '-' && text[i + 1] != ']') {
      ++i;
      last = take();
    }
    if (first <= last) element.ranges.emplace_back(first, last);
  }
  if (i >= text.size()) return 0;
  std::sort(element.ranges.begin(), element.ranges.end());
  std::vector<std::pair<char32_t, char32_t>> disjoint;
  for (const auto& range : element.ranges) {
    if (!disjoint.empty() && range.first <= disjoint.back().second) {
      disjoint.back().second = std::max(disjoint.back().second, range.second);
    } else {
      disjoint.push_back(range);
    }
  }
  element.ranges = std::move(disjoint);
  elements_.push_back(std::move(element));
  return i;
}

template <typename Name>
bool Pattern::matchesGlob(const Name& name, std::uint64_t& steps) const {
  const auto count = elements_.size();
  std::size_t element = 0;
  std::size_t next = 0;             // of the name
  std::size_t starElement = count;  // the last star that was passed, if any
  std::size_t starNext = 0;         // the first character that the star does not match yet
  while (next < name.size()) {
    if (element < count && elements_[element].kind == Element::Kind::star) {
      starElement = element++;
      if (element == count) return true;  // the star matches the rest
      starNext = next;
      continue;
    }
    if (element < count && elements_[element].accepts(at(name, next), steps)) {
      ++element;
      ++next;
      continue;
    }
    if (starElement == count) return false;
    // Earlier stars need not be tried again: the elements between two stars have matched as far
    // left as possible, which leaves the most characters to the rest.
    ++steps;
    next = ++starNext;
    element = starElement + 1;
  }
  while (element < count && elements_[element].kind == Element::Kind::star) ++element;
  return element == count;
}

}  // namespace espalier::peer
