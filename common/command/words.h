// A command line cut into words the way a shell does, and put together again.
//
//   get 'a b.txt' c\ d "say \"x\""   ->   get | a b.txt | c d | say "x"
//
// Single quotes keep everything; double quotes keep all but \" and \\; a backslash outside of
// quotes keeps the character behind it. No variables, no globs: those are for the command. Pure
// functions, linear in the line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace espalier::command {

// Errors have the code `usage`: a quote without an end, a backslash at the end, a line or a number
// of words above the limits.
Result<std::vector<std::string>> splitWords(std::string_view line);

// The line that splitWords() cuts into exactly these words.
std::string joinWords(const std::vector<std::string>& words);
std::string quoteWord(std::string_view word);

// A line that is still being typed: its complete words, and the last one, which may have an open
// quote.
struct OpenLine {
  std::vector<std::string> words;  // without the last
  std::string last;                // unquoted; empty behind white space
  std::size_t lastStart = 0;       // where it begins in the line
};
OpenLine splitOpenLine(std::string_view line);

// The command of a line, also of one that splitWords() refuses: its first word.
std::string commandOf(std::string_view line);

// The one of `known` that somebody who typed `word` may have meant: at most two letters off, or the
// only one that begins so; else empty.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace espalier::command
