#include "common/command/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "common/base/limits.h"

namespace espalier::command {
namespace {

bool isBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct Scan {
  std::vector<std::string> words;
  bool inWord = false;  // the last of `words` is not complete
  std::size_t lastStart = 0;
  char openQuote = 0;
  bool openBackslash = false;
};

Scan scan(std::string_view line) {
  Scan result;
  const auto word = [&](std::size_t at) -> std::string& {
    if (!result.inWord) {
      result.words.emplace_back();
      result.inWord = true;
      result.lastStart = at;
    }
    return result.words.back();
  };
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool last = i + 1 == line.size();
    if (result.openQuote != 0) {
      const bool escapes = result.openQuote == '"' && c == '\\' && !last &&
                           (line[i + 1] == '"' || line[i + 1] == '\\');
      if (c == result.openQuote) {
        result.openQuote = 0;
      } else {
        if (escapes) ++i;
        result.words.back() += line[i];
      }
    } else if (c == '\'' || c == '"') {
      word(i);
      result.openQuote = c;
    } else if (c == '\\') {
      word(i);
      if (last) {
        result.openBackslash = true;
      } else {
        ++i;
        result.words.back() += line[i];
      }
    } else if (isBlank(c)) {
      result.inWord = false;
    } else {
      word(i) += c;
    }
  }
  return result;
}

// Levenshtein's distance, in the product of both lengths: words are short.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

Result<std::vector<std::string>> splitWords(std::string_view line) {
  if (line.size() > limits::kCommandLineBytes) {
    return Error{ErrorCode::usage, fmt::format("a command line has at most {} bytes, this one {}",
                                               limits::kCommandLineBytes, line.size())};
  }
  Scan result = scan(line);
  if (result.openQuote != 0) {
    return Error{ErrorCode::usage,
                 fmt::format("the quote that begins with {} has no end", result.openQuote)};
  }
  if (result.openBackslash) {
    return Error{ErrorCode::usage, "nothing follows the backslash at the end"};
  }
  if (result.words.size() > limits::kCommandWords) {
    return Error{ErrorCode::usage,
                 fmt::format("a command has at most {} words", limits::kCommandWords)};
  }
  return std::move(result.words);
}

std::string quoteWord(std::string_view word) {
  const auto plain = [](char c) { return !isBlank(c) && c != '\'' && c != '"' && c != '\\'; };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return std::string(word);
  std::string result = "'";
  for (const char c : word) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      result += c;
    }
  }
  return result + "'";
}

std::string joinWords(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& word : words) {
    if (!line.empty()) line += ' ';
    line += quoteWord(word);
  }
  return line;
}

OpenLine splitOpenLine(std::string_view line) {
  Scan result = scan(line.substr(0, limits::kCommandLineBytes));
  OpenLine open;
  open.lastStart = line.size();
  if (result.inWord) {
    open.last = std::move(result.words.back());
    open.lastStart = result.lastStart;
    result.words.pop_back();
  }
  open.words = std::move(result.words);
  return open;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && isBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && isBlank(text.back())) text.remove_suffix(1);
  return text;
}

Result<FirstWord> firstWord(std::string_view line) {
  line = trimmed(line);
  char quote = 0;
  std::size_t end = 0;
  for (; end < line.size(); ++end) {
    const char c = line[end];
    if (c == '\\' && quote != '\'') {
      ++end;
    } else if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (isBlank(c)) {
      break;
    }
  }
  end = std::min(end, line.size());
  auto words = splitWords(line.substr(0, end));
  if (!words) return words.error();
  return FirstWord{words->empty() ? std::string() : std::move(words->front()),
                   trimmed(line.substr(end))};
}

std::string commandOf(std::string_view line) {
  const auto open = splitOpenLine(line);
  return open.words.empty() ? open.last : open.words.front();
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  if (word.empty() || word.size() > 64) return {};
  std::string best;
  // At most half of the letters differ: of a word of three, one.
  std::size_t bestDistance = std::min<std::size_t>(2, word.size() / 2);
  for (const auto& candidate : known) {
    const std::size_t here = distance(word, candidate);
    if (here < bestDistance || (here == bestDistance && best.empty() && here > 0)) {
      best = candidate;
      bestDistance = here;
    }
  }
  if (!best.empty()) return best;
  for (const auto& candidate : known) {
    if (!candidate.starts_with(word)) continue;
    if (!best.empty()) return {};
    best = candidate;
  }
  return best;
}

}  // namespace espalier::command
