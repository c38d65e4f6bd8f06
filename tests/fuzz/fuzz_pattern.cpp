// A pattern from the network against names of a share. The oracles are simpler ways to match.
#include "peer/core/pattern.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "common/base/limits.h"
#include "common/base/unicode.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

// Globs with stars and question marks only, by a table of the prefixes that match.
bool matchesSimply(std::string_view glob, std::string_view name) {
  std::vector<bool> reached(name.size() + 1, false);
  reached[0] = true;
  for (const char c : glob) {
    std::vector<bool> next(name.size() + 1, false);
    bool before = false;
    for (std::size_t i = 0; i <= name.size(); ++i) {
      before = before || reached[i];
      if (c == '*') next[i] = before;
      if (c != '*' && i > 0) next[i] = reached[i - 1] && (c == '?' || c == name[i - 1]);
    }
    reached = next;
  }
  return reached.back();
}

void checkAgainstModel(const Pattern& pattern, std::string_view name, bool matches) {
  const std::string& text = pattern.text();
  if (pattern.kind() == PatternKind::path) {
    fuzz::require(matches == (text == name || composed(text) == composed(name)),
                  "a path matches itself alone, however it is composed");
  }
  if (!isAscii(text) || !isAscii(name)) return;
  if (pattern.kind() == PatternKind::substring) {
    fuzz::require(matches == (lower(name).find(lower(text)) != std::string::npos),
                  "a substring is found where it is");
  }
  if (pattern.kind() == PatternKind::glob && text.find_first_of("[\\") == std::string::npos) {
    fuzz::require(matches == matchesSimply(text, name), "a glob matches as its table says");
  }
}

}  // namespace

// Input: kind, pattern \0 name \0 name …
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = fuzz::view(data, size);
  const auto kind = static_cast<PatternKind>(1 + fuzz::takeByte(input) % 5);
  const auto text = fuzz::takeUntil(input, '\0');
  const auto pattern = Pattern::compile(kind, text);
  (void)Pattern::fromUser(text);
  if (!pattern) {
    fuzz::require(pattern.error().code == ErrorCode::usage, "a mistake is one of usage");
    return 0;
  }
  const FileRoot root;
  while (!input.empty()) {
    const auto name = fuzz::takeUntil(input, '\0');
    if (name.size() > limits::kPathBytes) break;
    std::uint64_t steps = 0;
    const bool matches = pattern->matchesCounting(name, root, steps);
    fuzz::require(matches == pattern->matches(name, root), "counting changes nothing");
    // By the length of the text, not by its elements: each range of a set is a step of its own.
    fuzz::require(steps <= 4 * (text.size() + 1) * (name.size() + 1), "the cost is bounded");
    checkAgainstModel(*pattern, name, matches);
  }
  return 0;
}
