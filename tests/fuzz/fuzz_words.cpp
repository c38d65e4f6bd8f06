// A command line, complete and while it is typed.
#include "common/command/words.h"

#include "common/base/limits.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;
using namespace espalier::command;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto line = fuzz::view(data, size);
  const auto open = splitOpenLine(line);
  fuzz::require(open.lastStart <= line.size(), "the last word begins within the line");
  fuzz::require(open.words.size() <= line.size(), "a word is at least a byte");

  const auto words = splitWords(line);
  if (!words) {
    fuzz::require(words.error().code == ErrorCode::usage, "a mistake is one of usage");
    return 0;
  }
  fuzz::require(words->size() <= limits::kCommandWords, "as many words as a command may have");
  const auto joined = joinWords(*words);
  if (joined.size() > limits::kCommandLineBytes) return 0;  // quotes made it longer
  const auto again = splitWords(joined);
  fuzz::require(again.ok() && *again == *words, "words that are joined are cut the same");
  if (!words->empty()) (void)nearest(words->front(), {"get", "find", "list", "topo", "help"});
  return 0;
}
