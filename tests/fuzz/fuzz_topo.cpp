// topo.txt, which a user may edit.
#include "common/base/limits.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/topo_reader.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto lines = topo::parse(fuzz::view(data, size));
  if (!lines) return 0;
  const auto text = topo::format(*lines);
  const auto again = topo::parse(text);
  fuzz::require(again.ok() && *again == *lines, "what is written reads back");
  fuzz::require(topo::format(*again) == text, "and is written the same");

  const auto tree = topo::toTree(*lines, limits::kMaxLinks);
  if (!tree) return 0;
  const auto drawn = topo::toLines(*tree);
  fuzz::require(drawn.size() == lines->size(), "a tree has every peer of the file");
  const auto tree2 = topo::toTree(drawn, limits::kMaxLinks);
  fuzz::require(tree2.ok() && topo::toLines(*tree2) == drawn, "a tree reads back from its lines");
  return 0;
}
