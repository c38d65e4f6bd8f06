// Splits a command line into words as a shell does, and joins words to a line.
//
//   get 'a b.txt' c\ d "say \"x\""   ->   get | a b.txt | c d | say "x"
//
// Single quotes keep everything; double quotes keep all but \" and \\; a backslash outside of
// quotes keeps the next character. Variables are not expanded; globs are for the command. Pure
// functions. Used by all that reads command lines, options or configuration files.
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

// The line that splitWords() splits into exactly these words.
std::string joinWords(const std::vector<std::string>& words);
std::string quoteWord(std::string_view word);

// The first word of a line, and what follows it as it is typed, without white space at its ends.
// Errors as of splitWords(). No word: the line is empty.
struct FirstWord {
  std::string word;
  std::string_view rest;
};
Result<FirstWord> firstWord(std::string_view line);

// A line that is being typed: its complete words, and the last word, whose quote may be open.
struct OpenLine {
  std::vector<std::string> words;  // without the last
  std::string last;                // unquoted; empty behind white space
  std::size_t lastStart = 0;       // where it begins in the line
};
OpenLine splitOpenLine(std::string_view line);

// Without white space at its beginning and its end.
std::string_view trimmed(std::string_view text);

// The first word of a line, which is its command. Works also for lines that splitWords() refuses.
std::string commandOf(std::string_view line);

// The closest word of `known`, if it differs from `word` by at most two letters; otherwise the only
// one that begins with `word`; otherwise empty.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace espalier::command
