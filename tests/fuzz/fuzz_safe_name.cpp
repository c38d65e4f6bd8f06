// Names from the network that become paths on the disk.
#include <algorithm>

#include "common/base/fs.h"
#include "common/base/limits.h"
#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "peer/transfer/safe_path.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;
using transfer::DotNames;
using transfer::SafeName;

namespace {

void checkPart(const std::string& part) {
  fuzz::require(!part.empty() && part.size() <= 255, "a part is 1 to 255 bytes");
  fuzz::require(part != "." && part != "..", "a part stays in its folder");
  fuzz::require(part.find_first_of(std::string_view("/\0", 2)) == std::string::npos,
                "a part is one part");
  fuzz::require(isUtf8(part), "a part is UTF-8");
  fuzz::require(std::none_of(part.begin(), part.end(),
                             [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }),
                "a part has no control characters");
  std::string folded = part;
  for (char& c : folded) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  fuzz::require(folded != ".espalier" && folded != kStateMarker, "a part is not the state folder");
  fuzz::require(folded != "control.lock" && folded != "instance.key", "nor makes it look like one");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto name = fuzz::view(data, size);
  const auto safe = SafeName::parse(name, DotNames::all());
  if (!safe) return 0;
  const bool hidden = name.starts_with('.') || name.find("/.") != std::string_view::npos;
  fuzz::require(SafeName::parse(name, DotNames::none()).ok() == !hidden,
                "dot names are not written");
  fuzz::require(SafeName::parse(name, DotNames::typed(name)).ok(), "unless they were typed");
  for (const auto& part : safe->folders()) checkPart(part);
  checkPart(safe->leaf());
  const auto text = safe->text();
  fuzz::require(text.size() <= limits::kSharedNameBytes, "a path is bounded");
  const auto again = SafeName::parse(text, DotNames::all());
  fuzz::require(again.ok() && again->text() == text, "a name reads back");
  const auto path = (fs::path("/base") / text).lexically_normal().string();
  fuzz::require(path == "/base/" + text, "a path stays below its folder, as it is");
  return 0;
}
