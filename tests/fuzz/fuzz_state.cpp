// The state file of a metaserver.
#include "metaserver/shell/state_file.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier::metaserver::shell;
namespace fuzz = espalier::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto state = parseState(fuzz::view(data, size));
  if (!state) return 0;
  const auto again = parseState(formatState(state->state));
  fuzz::require(again.ok() && again->damagedLines == 0 && again->state == state->state,
                "what is written reads back");
  return 0;
}
